import { expect, test } from "bun:test";
import ssh2 from "ssh2";
import { generateSshKeyPair } from "../../scripts/ssh-key-pair.ts";

test("every pair can be read, also when the public key would begin with a zero byte", () => {
  for (let made = 0; made < 3_000; made += 1) {
    const keys = generateSshKeyPair();
    for (const half of [keys.private, keys.public]) expect(ssh2.utils.parseKey(half)).not.toBeInstanceOf(Error);
  }
});
