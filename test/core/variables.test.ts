import { describe, expect, test } from "bun:test";
import { isVariableName } from "../../src/core/names.ts";
import { substitute } from "../../src/core/placeholders.ts";
import { captureVariables, jobValues, jobVariables, maskedValues, SECRET_MASK } from "../../src/core/variables.ts";
import { Lab } from "./lab.ts";

function labWith(...variables: readonly (readonly [name: string, value: string])[]): Lab {
  const lab = new Lab();
  for (const [name, value] of variables) lab.command({ kind: "set-variable", name, value, secret: false });
  return lab;
}

function filled(lab: Lab, jid: number, template: string, machine: string | null = null): string {
  return substitute(template, jobValues(lab.state, lab.job(jid), { machine, secret: (name) => `secret of ${name}` }));
}

describe("a job's variables", () => {
  test("are those that its command and its CP_PATH name, and none else", () => {
    const lab = labWith(["A", "1"], ["B", "2"], ["C", "3"]);
    const jid = lab.add({ cmd: "run {A}", copyTo: "/r/{B}" });
    expect(lab.job(jid).spec.variables).toEqual({ A: "1", B: "2" });
  });

  test("keep the value they had when the job was queued", () => {
    const lab = labWith(["A", "old"]);
    const jid = lab.add({ cmd: "run {A}" });
    lab.command({ kind: "set-variable", name: "A", value: "new", secret: false });
    lab.command({ kind: "remove-variables", names: ["A"] });
    expect(filled(lab, jid, "{A}")).toBe("old");
  });

  test("of its matrix go before those of j var, and those before the built-in ones", () => {
    const lab = labWith(["A", "var"], ["B", "var"]);
    const { first } = lab.addMatrix({
      cmd: "run {A} {B} {JID}",
      keys: [
        { name: "A", values: ["matrix"] },
        { name: "JID", values: ["own"] },
      ],
    });
    expect(filled(lab, first, "{A} {B} {JID}")).toBe("matrix var own");
    expect(jobVariables(lab.state, lab.job(first))).toEqual({ A: "matrix", B: "var", JID: "own" });
  });

  test("hold all of its matrix's own, named or not", () => {
    const lab = new Lab();
    const { first } = lab.addMatrix({ cmd: "run", keys: [{ name: "SEED", values: ["7"] }] });
    expect(jobVariables(lab.state, lab.job(first))).toEqual({ SEED: "7" });
  });

  test("include what the server knows", () => {
    const lab = Lab.withMachines("user@[::1]:22");
    const { id, first } = lab.addMatrix({ cmd: "run", keys: [{ name: "K", values: ["v"] }] });
    const text = "{JID} {MATRIX} {ATTEMPT} {MACHINE} {HOST} {PORT}";
    expect(filled(lab, first, text, "user@[::1]:22")).toBe(`${first} ${id} 1 user@[::1]:22 ::1 22`);
    expect(filled(lab, lab.add(), "<{MATRIX}> {MACHINE}")).toBe("<> {MACHINE}");
  });

  test("of secrets are remembered by name only and masked where people look", () => {
    const lab = new Lab();
    lab.command({ kind: "set-variable", name: "TOKEN", value: "canary", secret: true });
    const jid = lab.add({ cmd: "run {TOKEN}" });
    expect(lab.job(jid).spec).toMatchObject({ secrets: ["TOKEN"], variables: {} });
    expect(filled(lab, jid, "{TOKEN}")).toBe("secret of TOKEN");
    expect(substitute("{TOKEN}", maskedValues(lab.state, lab.job(jid), null))).toBe(SECRET_MASK);
    expect(JSON.stringify(lab.journal)).not.toContain("canary");
  });

  test("may be named like what every object has", () => {
    const lab = labWith(["constructor", "c"], ["toString", "t"]);
    const jid = lab.add({ cmd: "{constructor} {toString} {hasOwnProperty}" });
    expect(filled(lab, jid, "{constructor} {toString} {hasOwnProperty}")).toBe("c t {hasOwnProperty}");
  });

  test("that nothing defines are found, the built-in ones excepted", () => {
    const lab = labWith(["A", "1"]);
    expect(captureVariables(lab.state, ["{A} {M} {X} {JID}", "{Y}"], ["M"]).undefinedNames).toEqual(["X", "Y"]);
  });
});

describe("a variable", () => {
  test.each(["1a", "a-b", "", "a b", "é", "__proto__", "A".repeat(257)])("cannot be called %j", (name) => {
    expect(isVariableName(name)).toBe(false);
    const refusal = new Lab().refusal({ kind: "set-variable", name, value: "", secret: false });
    expect(refusal).toBe(name === "" ? "bad-variable-name" : `bad-variable-name: ${name}`);
  });

  test.each(["MACHINE", "HOST", "PORT", "JID", "MATRIX", "ATTEMPT"])("cannot take the name of the built-in %s", (name) => {
    expect(new Lab().refusal({ kind: "set-variable", name, value: "1", secret: false })).toBe(`bad-variable-name: ${name} built-in`);
  });

  test("is measured in bytes", () => {
    const lab = new Lab();
    lab.limits = { ...lab.limits, variableBytesMax: 4 };
    expect(lab.refusal({ kind: "set-variable", name: "A", value: "éé", secret: false })).toBeNull();
    expect(lab.refusal({ kind: "set-variable", name: "A", value: "ééx", secret: false })).toBe("limit-exceeded: variable 4");
  });

  test("beyond the limit of variables is refused, a new value of a known one is not", () => {
    const lab = labWith(["A", "1"], ["B", "2"]);
    lab.limits = { ...lab.limits, variablesMax: 2 };
    expect(lab.refusal({ kind: "set-variable", name: "C", value: "", secret: false })).toBe("limit-exceeded: variables 2");
    expect(lab.refusal({ kind: "set-variable", name: "A", value: "3", secret: false })).toBeNull();
  });
});
