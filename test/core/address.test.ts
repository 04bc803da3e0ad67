import { describe, expect, test } from "bun:test";
import { addressParts, isClassName, isLocalAddress, isMachineName } from "../../src/core/address.ts";

describe("an address", () => {
  test.each([
    ["host", "host", ""],
    ["host:2222", "host", "2222"],
    ["user@host.example:22", "host.example", "22"],
    ["user@host", "host", ""],
    ["[::1]:22", "::1", "22"],
    ["user@[fe80::1%eth0]:22", "fe80::1%eth0", "22"],
    ["[::1]", "::1", ""],
    ["fe80::1", "fe80::1", ""],
    ["local", "local", ""],
    ["local/left", "local/left", ""],
    ["host:", "host:", ""],
  ])("%s has host %s and port %j", (addr, host, port) => {
    expect(addressParts(addr)).toEqual({ host, port });
  });

  test.each(["a", "user@h.example:22", "[::1]:22", "fe80::1%eth0", "local/1", "a_b-c", "x".repeat(300)])("%s can be a machine", (addr) => {
    expect(isMachineName(addr)).toBe(true);
  });

  test.each(["", "-oProxyCommand=x", "a b", "a;b", "a$b", "a\nb", "\u001b[1m", "é", "a`b", "x".repeat(301)])("%j cannot", (addr) => {
    expect(isMachineName(addr)).toBe(false);
  });

  test("of this host itself is local or local/NAME", () => {
    expect(["local", "local/a", "localhost", "local:1"].map(isLocalAddress)).toEqual([true, true, false, false]);
  });
});

test("a class has a plain name", () => {
  expect(["fast", "x86-64", "c++", "a.b"].map(isClassName)).toEqual([true, true, true, true]);
  expect(["", "-x", "a b", "a/b", "a\n", "é"].map(isClassName)).toEqual([false, false, false, false, false, false]);
});
