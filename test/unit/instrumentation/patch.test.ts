import assert from "node:assert/strict";
import { type Call, patch } from "../../../src/instrumentation/patch.js";

class Greeter {
  constructor(readonly greeting: string) {}

  greet(name: string, _mark = "!"): string {
    return `${this.greeting} ${name}`;
  }
}

const seen: Call[] = [];
const watch = (call: Call): unknown => {
  seen.push(call);
  return call.proceed();
};

describe("patch", () => {
  beforeEach(() => void seen.splice(0));

  it("shows the call with its object and arguments, and returns what it returned", () => {
    const undo = patch(Greeter.prototype, "greet", watch);
    const one = new Greeter("hello");
    assert.equal(one.greet("you", "?"), "hello you");
    assert.deepEqual([seen[0]?.self, seen[0]?.args, seen[0]?.owner], [one, ["you", "?"], Greeter.prototype]);
    undo();
  });

  it("keeps the function's name, length, properties and kind", () => {
    const original = Object.assign(
      {
        twice(one: number, _two: number): number {
          return 2 * one;
        },
      }.twice,
      { note: "kept" },
    );
    const owner = { twice: original };
    patch(owner, "twice", watch);
    assert.notEqual(owner.twice, original);
    assert.deepEqual([owner.twice.name, owner.twice.length, owner.twice.note], ["twice", 2, "kept"]);
    assert.equal("prototype" in owner.twice, "prototype" in original);
    assert.throws(() => Reflect.construct(owner.twice, []), TypeError);
  });

  it("leaves the property as it was found", () => {
    const before = Object.getOwnPropertyDescriptor(Greeter.prototype, "greet");
    const undo = patch(Greeter.prototype, "greet", watch);
    const during = Object.getOwnPropertyDescriptor(Greeter.prototype, "greet");
    assert.deepEqual({ ...during, value: before?.value }, before, "not even enumerable is different");
    undo();
    undo();
    assert.deepEqual(Object.getOwnPropertyDescriptor(Greeter.prototype, "greet"), before);
  });

  it("lets one of several handlers take the call, and the next when that has left", () => {
    const original = Greeter.prototype.greet;
    const taken: string[] = [];
    const as = (name: string) => (call: Call) => {
      taken.push(name);
      return call.proceed();
    };
    const undoFirst = patch(Greeter.prototype, "greet", as("first"));
    const undoSecond = patch(Greeter.prototype, "greet", as("second"));
    new Greeter("a").greet("b");
    undoFirst();
    new Greeter("a").greet("b");
    undoSecond();
    assert.deepEqual(taken, ["first", "second"]);
    assert.equal(Greeter.prototype.greet, original);
  });

  it("only passes calls on where somebody else has wrapped it since", () => {
    const owner = { answer: () => 42 };
    const undo = patch(owner, "answer", watch);
    const ours = owner.answer;
    owner.answer = () => ours() + 1;
    const theirs = owner.answer;
    undo();
    assert.equal(owner.answer, theirs);
    assert.equal(owner.answer(), 43);
    assert.deepEqual(seen, []);
  });

  it("does nothing where there is no function to replace", () => {
    const frozen = Object.freeze({ answer: () => 42 });
    const getter = {
      get answer() {
        return () => 42;
      },
    };
    for (const owner of [frozen, getter, { answer: 42 }, {}]) patch(owner, "answer", watch)();
    patch(frozen, "answer", watch);
    assert.equal(frozen.answer(), 42);
    assert.deepEqual(seen, []);
  });
});
