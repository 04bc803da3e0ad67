import ssh2 from "ssh2";

/** Type and key, each with its length before it. */
const BLOB_BYTES = 4 + "ssh-ed25519".length + 4 + 32;

export interface SshKeyPair {
  /** OpenSSH's format. */
  readonly private: string;
  /** As in authorized_keys, without comment. */
  readonly public: string;
}

/** A new Ed25519 pair. ssh2 spoils a public key that begins with a zero byte, one of 256: nobody can read either half of such a pair, and another is made. */
export function generateSshKeyPair(): SshKeyPair {
  while (true) {
    const keys = ssh2.utils.generateKeyPairSync("ed25519");
    const blob = Buffer.from(keys.public.split(" ")[1] ?? "", "base64");
    if (blob.length === BLOB_BYTES) return keys;
  }
}
