/** What a person should know of the server, shown by `status`: a code with data, put into words by the client. */

export interface Condition {
  readonly code: string;
  readonly data: Readonly<Record<string, string>>;
}
