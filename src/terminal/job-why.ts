/** `job why`: what each job waits for, in the order of weight. */
import type { JobStatus } from "../protocol/methods/job.ts";
import { paletteOf } from "./colour.ts";
import { renderDetails } from "./details.ts";
import type { Screen } from "./job-listing.ts";
import { statusWord } from "./job-status.ts";
import { type Notice, noticeWords } from "./notice.ts";

export interface Answer {
  readonly jid: number;
  readonly status: JobStatus;
  readonly reasons: readonly Notice[];
}

export function renderWhy(answers: readonly Answer[], screen: Screen): string {
  const palette = paletteOf(screen);
  const details = answers.map(({ jid, status, reasons }): readonly [string, string] => {
    const lines = reasons.map((reason) => {
      const { message, hint } = noticeWords(reason);
      return hint === "" ? message : `${message} ${hint}`;
    });
    return [String(jid), [statusWord(status, palette), ...lines].join("\n")];
  });
  return renderDetails(details, screen.width, palette.bold).join("\n");
}
