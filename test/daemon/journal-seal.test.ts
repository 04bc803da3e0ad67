/** The seal behind the last record: it comes by itself, once, and a storage that refuses it is told of. */
import { expect, test } from "bun:test";
import { JournalSeal } from "../../src/daemon/journal-seal.ts";
import { readJournal } from "../../src/store/journal/reader.ts";
import { contents, numbered, Scratch } from "../store/scratch.ts";
import { Session } from "../store/session.ts";
import { waitFor } from "../support/wait-for.ts";

function isSealed(folder: string): boolean {
  return readJournal({ folder, after: 0, visit: () => undefined }).sealed;
}

test("a while after the last record the journal is sealed, once", async () => {
  using scratch = new Scratch();
  const session = await Session.open(scratch.folder);
  const problems: unknown[] = [];
  const seal = new JournalSeal({ store: session.store, onStorageProblem: (error) => problems.push(error) });
  await session.append(numbered(1));
  expect(isSealed(scratch.path("journal"))).toBe(false);
  seal.consider();
  seal.consider();
  await waitFor(() => isSealed(scratch.path("journal")), { what: () => "the seal" });
  const sealed = contents(scratch.path("journal"));
  await session.store.seal();
  expect(contents(scratch.path("journal"))).toEqual(sealed);
  seal.stop();
  await session.drop();
  expect(problems).toEqual([]);
});

test("a storage that takes no seal is a problem of the storage, until the server stops", async () => {
  using scratch = new Scratch();
  const session = await Session.open(scratch.folder);
  await session.append(numbered(1));
  await session.drop();
  const problems: unknown[] = [];
  const seal = new JournalSeal({ store: session.store, onStorageProblem: (error) => problems.push(error) });
  seal.consider();
  await waitFor(() => problems.length > 0, { what: () => "the problem" });
  seal.stop();
  seal.consider();
  expect(problems).toMatchObject([{ code: "closed" }]);
});
