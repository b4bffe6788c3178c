import assert from "node:assert/strict";
import { kvBudget } from "../../../src/runtime/device-budget.js";

const GIB = 2 ** 30;
/** 2 GiB a sequence of the whole context; logits of 32 rows take 16 MiB. */
const model = { name: "chat", contextLength: 32_768, kvBytesPerToken: 65_536, vocabSize: 131_072 };

describe("kvBudget", () => {
  it("is what is left of the share that may be used", () => {
    assert.equal(kvBudget({ used: 10 * GIB, total: 40 * GIB }, 0.9, model, 32), 26 * GIB - 16 * 2 ** 20);
    const [all, half] = [1, 0.5].map((share) => kvBudget({ used: 10 * GIB, total: 40 * GIB }, share, model, 32));
    assert.equal((all as number) - (half as number), 20 * GIB);
  });

  it("refuses a model that leaves no room for one sequence, with the numbers and the cures", () => {
    assert.throws(
      () => kvBudget({ used: 20 * GIB, total: 24 * GIB }, 0.9, model, 32),
      ({ code, message }: { code: string; message: string }) => {
        assert.equal(code, "device_unavailable");
        for (const said of ["24.0 GiB", "90 %", "20.0 GiB", "16 MiB", "1.6 GiB", "32768 tokens", "2.0 GiB"]) {
          assert.ok(message.includes(said), `${said} is not in: ${message}`);
        }
        assert.match(message, /smaller dtype.*--gpu-memory-utilization.*--kv-memory/);
        return true;
      },
    );
    assert.throws(() => kvBudget({ used: 23 * GIB, total: 24 * GIB }, 0.5, model, 32), /leaves 0 MiB/);
  });
});
