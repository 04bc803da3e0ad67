/** What several commands say alike: new ids, warnings, and what of a set could not be done. */
import { RequestError } from "../protocol/error.ts";
import { type Notice, noticeWords } from "../terminal/notice.ts";
import { requestErrorWords } from "../terminal/request-error.ts";
import type { Output } from "./output.ts";

/** On stderr, so that scripts read ids and people read both. */
export function warnAll(warnings: readonly Notice[], output: Output): void {
  for (const warning of warnings) {
    const { message, hint } = noticeWords(warning);
    output.warn(message, hint);
  }
}

/** One error each. @returns the exit code: 1 when any was reported */
export function reportMissing(missing: readonly number[], output: Output): number {
  return reportRefused(
    missing.map((id) => new RequestError("no-such-id", { id })),
    output,
  );
}

/** One error each. @returns the exit code: 1 when any was reported */
export function reportRefused(errors: readonly RequestError[], output: Output): number {
  for (const error of errors) {
    const { message, hint } = requestErrorWords(error);
    output.error(error.code, message, hint);
  }
  return errors.length === 0 ? 0 : 1;
}

/** `first` … `first + count - 1`. */
export function idsFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** `7` or `7-18`: what can be typed where ids are taken. */
export function idRange(first: number, count: number): string {
  return count === 1 ? String(first) : `${first}-${first + count - 1}`;
}
