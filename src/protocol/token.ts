/** The token's text form: 64 hexadecimal digits and a newline, so that it can be copied to another host. */
import { TOKEN_BYTES } from "./limits.ts";

export function formatToken(token: Uint8Array): string {
  return `${token.toHex()}\n`;
}

/** null for anything but the text form; white space at the end is forgiven. */
export function parseToken(text: string): Uint8Array | null {
  const digits = text.trimEnd();
  if (digits.length !== TOKEN_BYTES * 2 || !/^[0-9a-fA-F]+$/.test(digits)) return null;
  return Uint8Array.fromHex(digits);
}
