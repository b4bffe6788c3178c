import assert from "node:assert/strict";
import type { RowLogits, RunnerRow } from "../../../../src/engine/runner.js";
import { type OtherWay, rehearse } from "../../../../src/runtime/native/rehearsal.js";
import {
  explainError,
  explainRehearsal,
  hasPassed,
  type RehearsalCheck,
} from "../../../../src/runtime/native/rehearsal-check.js";
import { FakeRunner, type FakeRunnerOptions, hashedLogits, topOf } from "../../../support/fake-runner.js";

type Change = (results: readonly RowLogits[], rows: readonly RunnerRow[], run: number) => readonly RowLogits[];

/** What comes of a run is another thing than what the model says. */
class ChangedRunner extends FakeRunner {
  replay?: OtherWay;
  readonly #change: Change;

  constructor(change: Change = (results) => results, options: FakeRunnerOptions = {}) {
    super({ logits: hashedLogits, vocabSize: 300, contextLength: 1024, ...options });
    this.#change = change;
  }

  override async run(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> {
    return this.#change(await super.run(rows), rows, this.runs.length);
  }
}

const named = (checks: readonly RehearsalCheck[]): string[] => checks.map(({ name }) => name);
const failed = (checks: readonly RehearsalCheck[]): string[] => named(checks.filter((check) => !hasPassed(check)));
const of = (values: Float32Array): RowLogits => ({ all: () => values });

describe("rehearsal", () => {
  const ALL = ["inputs", "chunks", "tokens", "batch", "moves", "growth", "candidates", "copy", "long"];

  it("of a runner that is right takes some thirty small runs, and leaves nothing behind", async () => {
    const runner = new ChangedRunner(undefined, { onDevice: true });
    const checks = await rehearse(runner, 16);
    assert.deepEqual(named(checks), ALL);
    assert.deepEqual([failed(checks), explainRehearsal(checks)], [[], undefined]);
    assert.ok(checks.every(({ error }) => error === 0));
    assert.deepEqual(runner.slotsHeld, []);
    assert.ok(runner.runs.length <= 30, `${runner.runs.length} runs`);
    const tokens = runner.runs.flat().reduce((sum, row) => sum + row.tokens.length, 0);
    assert.ok(tokens < 2 * 256 + 100, `${tokens} tokens`);
  });

  it("of fewer sequences leaves out what they cannot do", async () => {
    const [one, two] = [await rehearse(new ChangedRunner(), 1), await rehearse(new ChangedRunner(), 2)];
    assert.deepEqual(named(one), ["inputs", "chunks", "tokens", "batch", "growth", "long"]);
    assert.deepEqual(named(two), ["inputs", "chunks", "tokens", "batch", "moves", "growth", "copy", "long"]);
    assert.deepEqual(failed([...one, ...two]), []);
  });

  it("never feeds what the row held at that place, or a cache that is not written would look right", async () => {
    const runner = new ChangedRunner();
    await rehearse(runner, 1);
    const prompts = runner.runs.map(([row]) => row?.tokens ?? []);
    const [chunk, token] = [prompts[5], prompts[7]];
    // One slot is one row: before the pieces of a prompt, and before the tokens of one, stands another.
    assert.notDeepEqual(prompts[4]?.slice(0, 4), chunk);
    assert.notEqual(prompts[5]?.[0], token?.[0]);
  });

  it("allows what rounding makes, and tells the largest share", async () => {
    const runner = new ChangedRunner((results, _rows, run) =>
      results.map((row) => of(row.all().map((value, id) => value + ((id * 31 + run) % 2 === 0 ? 0.05 : -0.05)))),
    );
    const checks = await rehearse(runner, 3);
    assert.deepEqual(failed(checks), []);
    const largest = Math.max(...checks.map(({ error }) => error));
    assert.ok(largest > 0.01 && largest < 0.25, `${largest}`);
    assert.match(explainError(checks), /^the largest difference \d(\.\d)? % of that to another text$/);
  });

  const faults: [string, Change, string[]][] = [
    ["logits that are no numbers", (rows) => rows.map((row) => of(row.all().fill(Number.NaN))), ["inputs"]],
    ["an infinite logit", (rows) => rows.map((row) => of(row.all().fill(Number.POSITIVE_INFINITY, 3, 4))), ["inputs"]],
    ["the same logits for everything", (rows) => rows.map(() => of(Float32Array.of(1, 2, 3))), ["inputs"]],
    [
      "rows that are exchanged",
      (rows) => (rows.length > 1 ? [rows[1] as RowLogits, rows[0] as RowLogits, ...rows.slice(2)] : rows),
      ["batch", "moves", "growth"],
    ],
    [
      "one row of three that is another's",
      (rows) => (rows.length === 3 ? [rows[0] as RowLogits, rows[1] as RowLogits, rows[1] as RowLogits] : rows),
      ["batch", "growth"],
    ],
    [
      "likeliest tokens that are not",
      (results, rows) =>
        results.map((row, at) => {
          if (rows[at]?.top !== true) return row;
          const { ids, logits } = topOf(row.all());
          return { all: row.all, top: { ids: ids.with(5, ids[6] as number), logits } };
        }),
      ["candidates"],
    ],
  ];
  for (const [name, change, checks] of faults) {
    it(`finds ${name}`, async () => assert.deepEqual(failed(await rehearse(new ChangedRunner(change), 3)), checks));
  }

  it("finds inputs of the run before, whatever a run says the first time", async () => {
    let before: readonly RowLogits[] = [of(new Float32Array(300))];
    const late = new ChangedRunner((results) => {
      const given = results.map((_, at) => of((before[at] ?? (before[0] as RowLogits)).all()));
      before = results;
      return given;
    });
    assert.deepEqual(failed(await rehearse(late, 3)), ["inputs"]);
  });

  it("ends with the run that fails, by name", async () => {
    const beforeRun = (run: number): void => {
      if (run === 9) throw new Error("CUDA error 700.");
    };
    const checks = await rehearse(new ChangedRunner(undefined, { beforeRun }), 3);
    assert.deepEqual(named(checks), ["inputs", "chunks", "tokens"]);
    const wanted = 'a prompt token by token was not the prompt in one (check "tokens": it ended with "CUDA error 700")';
    assert.equal(explainRehearsal(checks), wanted);
  });

  it("says by how much", () => {
    const check = (name: RehearsalCheck["name"], error: number, most = 0.25): RehearsalCheck => ({ name, error, most });
    const told: [RehearsalCheck, string][] = [
      [check("batch", 0.934), "93 % of the way to another text's logits, at most 25 % may be"],
      [check("chunks", Number.NaN), "logits are no finite numbers"],
      [check("inputs", Number.POSITIVE_INFINITY), "logits after different texts are the same"],
      [check("candidates", 1 / 64, 0), "1.6 % of them are wrong, at most 0 % may be"],
    ];
    for (const [one, text] of told) assert.ok(explainRehearsal([one])?.endsWith(`${text})`), explainRehearsal([one]));
    const several = [check("copy", 1), check("growth", 0), check("long", 1), check("replay", 2)];
    assert.match(explainRehearsal(several) ?? "", /^a copied .+\); also failed: long, replay$/);
  });

  describe("of another way to take steps", () => {
    /** From the first step on that it replays, `change` says what comes out. */
    function replaying(change: (step: RunnerRow, results: readonly RowLogits[]) => readonly RowLogits[]) {
      let on = true;
      let steps = 0;
      const uses: boolean[] = [];
      const runner = new ChangedRunner((results, rows) => {
        if (!on || rows.some(({ tokens }) => tokens.length > 1)) return results;
        return ++steps > 2 ? change(rows[0] as RunnerRow, results) : results;
      });
      runner.replay = {
        stepsBefore: 2,
        use: (wanted) => {
          uses.push(wanted);
          [on, steps] = [wanted, 0];
        },
        stop: () => assert.fail("whoever asked for the rehearsal decides"),
      };
      return { runner, uses };
    }

    it("plays it for each number of rows, and leaves it off", async () => {
      let replayed = 0;
      const { runner, uses } = replaying((_, results) => {
        replayed++;
        return results;
      });
      const checks = await rehearse(runner, 3);
      assert.ok(named(checks).includes("replay"));
      assert.deepEqual(failed(checks), []);
      assert.deepEqual([replayed, uses], [12, [false, true, false, true, false, true, false]]);
    });

    it("finds one that repeats what was captured", async () => {
      let captured: readonly RowLogits[] | undefined;
      const { runner } = replaying((_, results) => {
        captured = captured?.length === results.length ? captured : results;
        return captured;
      });
      assert.deepEqual(failed(await rehearse(runner, 3)), ["replay"]);
    });
  });
});
