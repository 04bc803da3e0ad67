/** Where the state may live, and the small files in it. */
import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { replaceDurably } from "../../src/store/durable-file.ts";
import { createServerId, readServerId } from "../../src/store/identity.ts";
import { mountedType, networkFileSystemAt, networkFileSystemName } from "../../src/store/network-file-system.ts";
import { prepareDirectory, storePaths } from "../../src/store/paths.ts";
import { Secrets } from "../../src/store/secrets.ts";
import { Scratch } from "./scratch.ts";

describe("the directory", () => {
  test("that others could read is closed to them", () => {
    using scratch = new Scratch();
    chmodSync(scratch.folder, 0o755);
    prepareDirectory(storePaths(scratch.folder), { allowNetworkFileSystem: true });
    expect(statSync(scratch.folder).mode & 0o777).toBe(0o700);
  });

  test("that cannot be made is an I/O error that names it", () => {
    using scratch = new Scratch();
    writeFileSync(scratch.path("file"), "");
    const paths = storePaths(scratch.path("file", "state"));
    expect(() => prepareDirectory(paths, { allowNetworkFileSystem: true })).toThrow(
      expect.objectContaining({ code: "io", data: { file: paths.directory, system: "ENOTDIR" } }),
    );
  });

  test("that belongs to someone else is refused", () => {
    using scratch = new Scratch();
    // Root can give a folder away; for anybody else the root folder is someone else's.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(scratch.folder, 65_534, 65_534);
    const directory = isRoot ? scratch.folder : "/";
    expect(() => prepareDirectory(storePaths(directory), { allowNetworkFileSystem: true })).toThrow("not-owned");
  });
});

describe("a network file system", () => {
  test("is known by its number, as statfs gives it, signed or not", () => {
    expect(networkFileSystemName(0x6969)).toBe("nfs");
    expect(networkFileSystemName(0xff534d42)).toBe("cifs");
    expect(networkFileSystemName(0xff534d42 | 0)).toBe("cifs");
    expect([0xef53, 0x01021994, 0x9123683e, 0x58465342].map(networkFileSystemName)).toEqual([null, null, null, null]);
  });

  test("is not where this system keeps its process table", () => {
    expect(networkFileSystemAt("/proc")).toBeNull();
  });

  test("behind FUSE is known by the mount that holds the path", () => {
    const mountinfo = [
      "22 1 254:0 / / rw - ext4 /dev/vda rw",
      "40 22 0:40 / /srv/lab\\040user rw - fuse.sshfs host:/ rw",
      "41 40 0:41 / /srv/lab\\040user/disk rw shared:7 - fuse.ntfs-3g /dev/sdb rw",
    ].join("\n");
    expect(mountedType(mountinfo, "/srv/lab user/state")).toBe("fuse.sshfs");
    expect(mountedType(mountinfo, "/srv/lab user/disk/state")).toBe("fuse.ntfs-3g");
    expect(mountedType(mountinfo, "/srv/lab userstate")).toBe("ext4");
  });
});

describe("the server id", () => {
  test("is drawn once and read back; another text is damage", async () => {
    using scratch = new Scratch();
    const paths = storePaths(scratch.folder);
    expect(readServerId(paths)).toBeNull();
    const id = await createServerId(paths);
    expect(readServerId(paths)).toBe(id);
    writeFileSync(paths.serverId, "../../etc\n");
    expect(() => readServerId(paths)).toThrow("damaged");
  });
});

describe("secrets", () => {
  test("are there after reopening, in a file of 0600, whatever their text", async () => {
    using scratch = new Scratch();
    const file = scratch.path("secrets.toml");
    const secrets = Secrets.open(file);
    const values = { constructor: "a", B: "line\r\n\"'\\ \u0000\u007f é", C: "" };
    await Promise.all(Object.entries(values).map(([name, value]) => secrets.set(name, value)));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = Secrets.open(file);
    expect(Object.fromEntries(again.names().map((name) => [name, again.get(name)]))).toEqual(values);
    await again.remove(["B"]);
    expect(Secrets.open(file).names()).toEqual(["C", "constructor"]);
    expect(readFileSync(file, "utf8")).not.toContain("line");
  });

  test("keep the old value when the new one cannot be written, and take the next", async () => {
    using scratch = new Scratch();
    const file = scratch.path("secrets.toml");
    const secrets = Secrets.open(file);
    await secrets.set("A", "old");
    mkdirSync(`${file}.new`);
    await expect(secrets.set("A", "new")).rejects.toMatchObject({ code: "io" });
    expect(secrets.get("A")).toBe("old");
    await Bun.$`rmdir ${file}.new`;
    await secrets.set("A", "newer");
    expect(Secrets.open(file).get("A")).toBe("newer");
  });
});

test("replacing a file follows no link that lies in the way, and leaves no temporary file", async () => {
  using scratch = new Scratch();
  writeFileSync(scratch.path("victim"), "untouched");
  symlinkSync(scratch.path("victim"), scratch.path("f.new"));
  await replaceDurably(scratch.path("f"), "content");
  expect(readFileSync(scratch.path("victim"), "utf8")).toBe("untouched");
  expect(readFileSync(scratch.path("f"), "utf8")).toBe("content");
  expect(existsSync(scratch.path("f.new"))).toBe(false);
});
