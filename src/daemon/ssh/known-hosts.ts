/**
 * The known_hosts check, as sshd(8) describes the file: plain and hashed names, `[host]:port`, wildcards,
 * negation, `@revoked`, `@cert-authority`, several files. Pure apart from reading the files; whether a
 * connection goes on is decided by the caller, and everything but `known` means it must not.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";

export interface KnownHostLine {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly marker: "none" | "revoked" | "cert-authority";
  /** The name field as written. */
  readonly names: string;
  readonly keyType: string;
  readonly key: Buffer;
}

/** The name under which a machine's key is on file. */
export interface HostIdentity {
  readonly hostName: string;
  readonly port: number;
  readonly alias: string | null;
}

export type HostKeyVerdict =
  | { readonly kind: "known" }
  /** `otherTypes`: keys of other types are on file, for which the machine did not offer a key. */
  | { readonly kind: "unknown"; readonly otherTypes: readonly string[] }
  | { readonly kind: "changed"; readonly onFile: KnownHostLine }
  | { readonly kind: "revoked"; readonly onFile: KnownHostLine }
  | { readonly kind: "certificate-only"; readonly onFile: KnownHostLine };

/** All lines of all files; a file that does not exist has none. Lines that cannot be read are passed over, as OpenSSH does. */
export async function readKnownHosts(files: readonly string[]): Promise<KnownHostLine[]> {
  const texts = await Promise.all(files.map(readIfPresent));
  return files.flatMap((file, index) => parseKnownHosts(texts[index] ?? "", file));
}

export function parseKnownHosts(text: string, file: string): KnownHostLine[] {
  const lines: KnownHostLine[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const words = raw.trim().split(/[ \t]+/);
    const marker = markerOf(words[0] ?? "");
    if (marker === null) continue;
    const [names, keyType, base64] = marker === "none" ? words : words.slice(1);
    if (names === undefined || names.startsWith("#") || keyType === undefined || base64 === undefined) continue;
    const key = Buffer.from(base64, "base64");
    if (typeInside(key) !== keyType) continue;
    lines.push({ file, line: index + 1, marker, names, keyType, key });
  }
  return lines;
}

/** The name that is looked up: `host`, or `[host]:port` when the port is not 22; an alias stands for both. */
export function knownHostsName(host: HostIdentity): string {
  if (host.alias !== null) return host.alias.toLowerCase();
  const name = host.hostName.toLowerCase();
  return host.port === 22 ? name : `[${name}]:${host.port}`;
}

export function linesFor(lines: readonly KnownHostLine[], name: string): KnownHostLine[] {
  return lines.filter((line) => namesMatch(line.names, name));
}

/** Types of the keys on file for a machine, so that it can first be asked for one of them. */
export function keyTypesOnFile(lines: readonly KnownHostLine[], host: HostIdentity): string[] {
  const found = candidateNames(host).flatMap((name) => linesFor(lines, name));
  return [...new Set(found.filter((line) => line.marker === "none").map((line) => line.keyType))];
}

export function checkHostKey(lines: readonly KnownHostLine[], host: HostIdentity, key: Uint8Array): HostKeyVerdict {
  const [name = "", ...fallbacks] = candidateNames(host);
  const verdict = judge(linesFor(lines, name), key);
  if (verdict.kind !== "unknown") return verdict;
  // As OpenSSH does: a key on file for the bare name serves on any port, but a difference there proves nothing.
  for (const fallback of fallbacks) {
    const other = judge(linesFor(lines, fallback), key);
    if (other.kind === "known" || other.kind === "revoked") return other;
  }
  return verdict;
}

/** As `ssh-keygen -l` prints it. */
export function fingerprint(key: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The type a public key names itself, or "" when the bytes are no key. */
export function typeInside(key: Buffer): string {
  if (key.length < 4) return "";
  const length = key.readUInt32BE(0);
  return length > 64 || key.length < 4 + length ? "" : key.toString("latin1", 4, 4 + length);
}

function judge(lines: readonly KnownHostLine[], key: Uint8Array): HostKeyVerdict {
  const type = typeInside(Buffer.from(key));
  const revoked = lines.find((line) => line.marker === "revoked" && line.key.equals(key));
  if (revoked !== undefined) return { kind: "revoked", onFile: revoked };
  const plain = lines.filter((line) => line.marker === "none");
  if (plain.some((line) => line.key.equals(key))) return { kind: "known" };
  const sameType = plain.find((line) => line.keyType === type);
  if (sameType !== undefined) return { kind: "changed", onFile: sameType };
  const authority = lines.find((line) => line.marker === "cert-authority");
  if (authority !== undefined && plain.length === 0) return { kind: "certificate-only", onFile: authority };
  return { kind: "unknown", otherTypes: [...new Set(plain.map((line) => line.keyType))] };
}

function candidateNames(host: HostIdentity): string[] {
  const name = knownHostsName(host);
  return host.alias === null && host.port !== 22 ? [name, host.hostName.toLowerCase()] : [name];
}

function markerOf(word: string): KnownHostLine["marker"] | null {
  if (word === "@revoked") return "revoked";
  if (word === "@cert-authority") return "cert-authority";
  return word === "" || word.startsWith("@") || word.startsWith("#") ? null : "none";
}

function namesMatch(names: string, name: string): boolean {
  if (names.startsWith("|")) return hashedNameMatches(names, name);
  let hasMatch = false;
  for (const pattern of names.split(",")) {
    const isNegated = pattern.startsWith("!");
    if (!patternMatches(isNegated ? pattern.slice(1) : pattern, name)) continue;
    if (isNegated) return false;
    hasMatch = true;
  }
  return hasMatch;
}

/** `|1|salt|hash`, both base64; the hash is HMAC-SHA1 of the name with the salt as key. */
function hashedNameMatches(names: string, name: string): boolean {
  const [, version, salt, hash, ...rest] = names.split("|");
  if (version !== "1" || salt === undefined || hash === undefined || rest.length > 0) return false;
  const expected = Buffer.from(hash, "base64");
  const actual = createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest();
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/** `*` and `?` only, without regard to case; linear, so that a hostile pattern costs nothing. */
function patternMatches(pattern: string, name: string): boolean {
  const wanted = pattern.toLowerCase();
  let [at, star, resume, index] = [0, -1, 0, 0];
  while (index < name.length) {
    if (wanted[at] === "*") {
      [star, resume] = [at, index];
      at += 1;
    } else if (at < wanted.length && (wanted[at] === "?" || wanted[at] === name[index])) {
      at += 1;
      index += 1;
    } else if (star >= 0) {
      at = star + 1;
      resume += 1;
      index = resume;
    } else {
      return false;
    }
  }
  while (wanted[at] === "*") at += 1;
  return at === wanted.length;
}

async function readIfPresent(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    // A file we may not read knows nobody: the machine is then refused as unknown, which is the safe side.
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "EACCES" || error.code === "ENOTDIR"))
      return "";
    throw error;
  }
}
