import assert from "node:assert/strict";
import { VendorList } from "../../../../src/tracing/context/trace-state.js";

const parse = (text: string): string | undefined => VendorList.parse(text)?.serialize();
const members = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}=${i}`);

describe("W3C's tracestate", () => {
  it("keeps the first of two members with one key, which was written last", () => {
    assert.equal(parse("foo=2,bar=1,foo=1"), "foo=2,bar=1");
  });

  it("is no list where a member is broken, though its key was there before", () => {
    assert.equal(parse("foo=1,foo="), undefined);
  });

  it("takes keys of 256 characters that begin with a letter or a digit and may have any number of @", () => {
    for (const key of ["foo", "1foo", "foo@", "foo@@bar", "foo@bar@baz", `t@${"v".repeat(254)}`, "a_-*/0"]) {
      assert.equal(parse(`${key}=1`), `${key}=1`);
    }
    for (const key of ["", "@foo", "_foo", "Foo", "foo.bar", "foo bar", `t@${"v".repeat(255)}`]) {
      assert.equal(parse(`${key}=1,bar=2`), undefined, key);
    }
  });

  it("has 32 members at most, and empty ones do not count", () => {
    const full = members(32).join();
    assert.equal(parse(`, ,${full},`), full);
    assert.equal(parse(`${full},k0=again`), full);
    assert.equal(parse(members(33).join()), undefined);
  });

  it("makes room at its end for what is set, in front", () => {
    const list = VendorList.parse(members(32).join())?.set("new", "1").serialize().split(",");
    assert.deepEqual([list?.length, list?.[0], list?.at(-1)], [32, "new=1", "k30=30"]);
  });
});
