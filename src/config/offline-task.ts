/**
 * What a command asks of the offline part, and what comes back: data only, because the two sides may not import each
 * other. Each answer is put into words by the command.
 */

export type OfflineTask =
  | {
      readonly kind: "import";
      readonly stateDir: string;
      /** The `server-snapshot` of the old system. */
      readonly file: string;
      /** Where the old system wrote its logs. */
      readonly logs: string;
      readonly withMachines: boolean;
      readonly dryRun: boolean;
      readonly allowNetworkFs: boolean;
    }
  | {
      readonly kind: "state-export";
      readonly stateDir: string;
      /** null: to `write`. */
      readonly file: string | null;
      readonly withSecrets: boolean;
      readonly write: (bytes: Uint8Array) => boolean;
    }
  | {
      readonly kind: "state-import";
      readonly stateDir: string;
      readonly file: string;
      readonly dryRun: boolean;
      readonly allowNetworkFs: boolean;
    }
  | {
      readonly kind: "check";
      readonly stateDir: string;
      readonly logDir: string;
      /** Those of OpenSSH or the one that was named; one that is not there is passed over, unless it was named. */
      readonly knownHosts: readonly string[];
      readonly namedKnownHosts: boolean;
    };

export interface OfflineReports {
  readonly imported: ImportReport;
  readonly exported: ExportReport;
  readonly "state-imported": StateImportReport;
  readonly checked: CheckReport;
}

export type OfflineOutcome =
  | { readonly [K in keyof OfflineReports]: { readonly kind: K; readonly report: OfflineReports[K] } }[keyof OfflineReports]
  | OfflineFailure;

export interface OfflineFailure {
  readonly kind: "failed";
  readonly code: string;
  readonly data: Readonly<Record<string, string>>;
  readonly exitCode: number;
}

/** By status, as `j job ls` shows them. */
export type StatusCounts = Readonly<Record<string, number>>;

export interface ImportReport {
  readonly dryRun: boolean;
  readonly file: string;
  readonly jobs: StatusCounts;
  /** Jobs that the old system was about to forget. */
  readonly forgotten: number;
  readonly matrices: number;
  readonly tags: number;
  readonly machines: NameReport;
  readonly variables: NameReport;
  /** null: no id at all. */
  readonly ids: { readonly first: number; readonly last: number /** Added to each. */; readonly shift: number } | null;
  readonly nextId: number;
  /** Jobs that waited there and are held here. */
  readonly held: readonly { readonly first: number; readonly last: number }[];
  /** Jobs whose outcome is not known. */
  readonly cutShort: number;
}

export interface NameReport {
  readonly added: number;
  /** Known here already: what is here stays. */
  readonly kept: readonly string[];
  /** Not what a name may look like here. */
  readonly refused: readonly string[];
  /** Not asked for. */
  readonly left: number;
}

export interface ExportReport {
  readonly file: string | null;
  readonly jobs: number;
  readonly bytes: number;
  /** Jobs that are under way: another host cannot take them up. */
  readonly underWay: number;
  /** Names of secret variables whose values are not in it. */
  readonly secretsLeftOut: readonly string[];
  readonly secretsIncluded: number;
  readonly serverPid: number | null;
}

export interface StateImportReport {
  readonly dryRun: boolean;
  readonly file: string;
  readonly jobs: StatusCounts;
  readonly machines: number;
  readonly variables: number;
  readonly matrices: number;
  readonly tags: number;
  readonly nextId: number;
  readonly secretsToSet: readonly string[];
  /** Jobs that were under way there, and are unknown here. */
  readonly unknown: readonly { readonly first: number; readonly last: number }[];
}

export interface CheckReport {
  readonly stateDir: string;
  /** The server that runs on it. */
  readonly serverPid: number | null;
  readonly findings: readonly Finding[];
  readonly checked: Readonly<Record<string, number>>;
}

export interface Finding {
  /** damage: the state cannot be trusted; attention: a person is needed; note: all is well, but good to know. */
  readonly severity: "damage" | "attention" | "note";
  readonly code: string;
  readonly data: Readonly<Record<string, string>>;
}
