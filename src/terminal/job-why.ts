/** `job why`: what each job waits for, in the order of weight. */
import type { JobStatus } from "../protocol/methods/job.ts";
import { paletteOf } from "./colour.ts";
import { renderDetails } from "./details.ts";
import type { Screen } from "./job-listing.ts";
import { statusWord } from "./job-status.ts";
import { type Notice, noticeWords } from "./notice.ts";
import { problemWords } from "./problem.ts";
import { forJob } from "./wording.ts";

export interface Answer {
  readonly jid: number;
  readonly status: JobStatus;
  readonly reasons: readonly Notice[];
}

/** So many busy machines are named one by one; more are counted. */
const BUSY_NAMED_MAX = 8;

export function renderWhy(answers: readonly Answer[], screen: Screen): string {
  const palette = paletteOf(screen);
  const details = answers.map(({ jid, status, reasons }): readonly [string, string] => {
    const lines = gathered(reasons).map((reason) => {
      const { message, hint } = noticeWords(reason);
      return hint === "" ? message : `${message} ${forJob(hint, jid)}`;
    });
    return [String(jid), [statusWord(status, palette), ...lines].join("\n")];
  });
  return renderDetails(details, screen.width, palette.bold).join("\n");
}

/** What people need of the reasons: no trouble twice, and no page of machines that only do their work. */
function gathered(reasons: readonly Notice[]): readonly Notice[] {
  const busy = reasons.filter((reason) => reason.code === "machine" && reason.data["state"] === "busy");
  const many = busy.length > BUSY_NAMED_MAX;
  const troubles = new Set(reasons.filter((reason) => reason.code === "machine").map(trouble));
  return reasons.flatMap((reason) => {
    if (reason.code === "last-start" && trouble(reason) !== null && troubles.has(trouble(reason))) return [];
    if (!many || reason.code !== "machine" || reason.data["state"] !== "busy") return [reason];
    return reason === busy[0] ? [{ code: "machines-busy", data: { count: String(busy.length) } }] : [];
  });
}

/** The sentence about the problem inside a reason; without one nothing is alike. */
function trouble({ data }: Notice): string | null {
  const { problem: code, ...rest } = data;
  return code === undefined ? null : problemWords({ code, data: rest }).message;
}
