/** What the handlers work with. They translate between the wire and the engine and hold nothing themselves. */

import type { CopiedFile, Job } from "../../core/job.ts";
import type { Problem } from "../../core/problem.ts";
import type { Condition } from "../condition.ts";
import type { Engine } from "../engine.ts";
import type { JobBook } from "../job-book.ts";
import type { TestedHook } from "../notify/notifications.ts";
import type { TransferRequest, Transferred } from "../transferred.ts";

export interface Services {
  readonly engine: Engine;
  readonly book: JobBook;
  readonly now: () => number;
  readonly secrets: {
    get(name: string): string | undefined;
    set(name: string, value: string): Promise<void>;
    remove(name: string): Promise<void>;
  };
  readonly checkMachine: (addr: string) => Promise<MachineCheck>;
  /** A person has mended something: what failed a moment ago is tried afresh, not after its back-off. */
  readonly forgetConnectFailures: () => void;
  /** The files of a result that has too many to be kept in the job; null when its record is gone. */
  readonly readRecordedFiles: (record: string) => Promise<readonly CopiedFile[] | null>;
  /** Takes the results and logs of an ended job elsewhere. */
  readonly takeResults: (request: TransferRequest) => Promise<Transferred>;
  /** Sends a test to each webhook. */
  readonly testWebhooks: (signal: AbortSignal) => Promise<readonly TestedHook[]>;
  /** Whether a log of it that is not there is one that [retention] deleted. */
  readonly mayHaveDeletedLogOf: (job: Job) => boolean;
  readonly gateProblem: () => Problem | null;
  readonly server: ServerFacts;
  /** Starts the clean stop; returns at once. */
  readonly requestStop: () => void;
}

export interface MachineCheck {
  readonly problem: Problem | null;
  readonly durationMs: number;
  readonly kernel: string | null;
}

export interface ServerFacts {
  readonly version: string;
  readonly startedAt: number;
  readonly address: string;
  readonly stateDir: string;
  readonly logDir: string;
  readonly tokenFile: string;
  readonly configFile: string | null;
  readonly runner: string | null;
  /** Commands are driver words, so unbalanced quotes can be refused at once. */
  readonly splitsWords: (className: string) => boolean;
  readonly conditions: () => readonly Condition[];
}
