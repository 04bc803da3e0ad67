/** Which file systems keep their files on another host. Linux names them by a number in statfs(2). */
import { readFileSync, statfsSync } from "node:fs";

const NETWORK_TYPES: ReadonlyMap<number, string> = new Map([
  [0x6969, "nfs"],
  [0x517b, "smb"],
  [0xff534d42, "cifs"],
  [0xfe534d42, "smb2"],
  [0x564c, "ncp"],
  [0x73757245, "coda"],
  [0x5346414f, "afs"],
  [0x6b414653, "afs"],
  [0x01021997, "9p"],
  [0x00c36400, "ceph"],
  [0x0bd00bd0, "lustre"],
  [0x47504653, "gpfs"],
  [0x19830326, "beegfs"],
  [0xaad7aaea, "panfs"],
]);

/** FUSE says only that it is FUSE; the mount table says which: some are local disks, some are not. */
const FUSE_TYPE = 0x65735546;
const NETWORK_FUSE =
  /^fuse\.(sshfs|glusterfs|ceph(-fuse)?|s3fs|goofys|rclone|davfs2?|juicefs|curlftpfs|smbnetfs|nfs|moosefs|mfs|lizardfs)$/;

/** The name of the network file system that holds this path, or null when it is a local one. */
export function networkFileSystemAt(path: string): string | null {
  const type = statfsSync(path).type >>> 0;
  if (type !== FUSE_TYPE) return networkFileSystemName(type);
  const mounted = mountedType(readFileSync("/proc/self/mountinfo", "utf8"), path);
  return mounted !== null && NETWORK_FUSE.test(mounted) ? mounted : null;
}

/** @param type f_type of statfs(2), as an unsigned number of 32 bits */
export function networkFileSystemName(type: number): string | null {
  return NETWORK_TYPES.get(type >>> 0) ?? null;
}

/** The type of the mount that holds the path: the longest mount point above it, the last one mounted there. */
export function mountedType(mountinfo: string, path: string): string | null {
  let found: { readonly point: string; readonly type: string } | null = null;
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    const escaped = before?.split(" ")[4];
    const type = after?.split(" ")[0];
    if (escaped === undefined || type === undefined) continue;
    const point = escaped.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const holds = point === "/" || path === point || path.startsWith(`${point}/`);
    if (holds && point.length >= (found?.point.length ?? 0)) found = { point, type };
  }
  return found?.type ?? null;
}
