/** A line as it is typed, cut into words as a shell would, with nothing of it carried out. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { quote } from "shlex";
import { readTypedCommand } from "../../src/commands/completion/typed-text.ts";

const environment: Readonly<Record<string, string>> = { HOME: "/home/user", DIR: "a b" };
const read = (text: string, quoting: "posix" | "fish" = "posix") => readTypedCommand(text, quoting, (name) => environment[name]);
const words = (text: string, quoting: "posix" | "fish" = "posix") => {
  const typed = read(text, quoting);
  return [...typed.words, typed.current];
};

describe("a typed command", () => {
  test.each([
    ["j job rm ", ["j", "job", "rm", ""]],
    ["j job rm 1", ["j", "job", "rm", "1"]],
    [`j job add c 'a  b' "c d`, ["j", "job", "add", "c", "a  b", "c d"]],
    ["j a\\ b \\", ["j", "a b", ""]],
    ["j \"$HOME/x\" $DIR/y ${DIR} '$DIR' $NOT", ["j", "/home/user/x", "a b/y", "a b", "$DIR", "$NOT"]],
    ["j $(touch x) `touch y` ", ["j", "$(touch", "x)", "`touch", "y`", ""]],
    ["cd x; j job rm ", ["j", "job", "rm", ""]],
    ["true && j job >out 2>&1 <in ls ", ["j", "job", "ls", ""]],
    ["j job > out ls ", ["j", "job", "ls", ""]],
    ["j --address=127.0.0.1:3030 '' ", ["j", "--address=127.0.0.1:3030", "", ""]],
    ["", [""]],
  ] as const)("%s", (text, expected) => {
    expect(words(text)).toEqual(expected.slice());
  });

  test("in fish a backslash protects a quote between single quotes", () => {
    expect(words("j 'it\\'s' x", "fish")).toEqual(["j", "it's", "x"]);
    expect(words("j 'it\\' x")).toEqual(["j", "it\\", "x"]);
  });

  test("settings before the command are taken, also behind env", () => {
    const typed = read("A=0 x; EXPJOBSERVER_ADDRESS=h:1 env B='c d' j job ls");
    expect(typed).toEqual({ assignments: { EXPJOBSERVER_ADDRESS: "h:1", B: "c d" }, words: ["j", "job"], current: "ls" });
  });

  test("whatever a shell's quoting protects comes out as it was", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 12 }), { maxLength: 5 }), (expected) => {
        const text = ["j", ...expected.map((word) => quote(word)), "end"].join(" ");
        // A redirection is none of the words.
        fc.pre(!expected.some((word) => /^\d*[<>]/.test(word)));
        expect(words(text)).toEqual(["j", ...expected, "end"]);
      }),
    );
  });
});
