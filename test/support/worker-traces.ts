/** Traces as a worker leaves them whose steps take exactly what a model says. */
import { decodeMs, prefillMs, type StepModel } from "../../src/bench/plan/step-model.js";
import type { RecordedSpan } from "../../src/bench/traces/zipkin-json.js";

const phase = (coefficients: readonly number[]) => ({
  coefficients,
  rSquared: 1,
  typicalError: 0,
  observations: 100,
  outliers: 0,
  rows: [1, 32] as const,
  context: [1, 2_000] as const,
});

/** 2 ms and 0.05 a prompt token; 1 ms, 0.5 a request and 0.001 a token attended to. */
export const EXACT_MODEL: StepModel = {
  prefill: phase([2, 0.05, 1e-5]),
  decode: phase([1, 0.5, 1e-3]),
  overheadMs: 3,
};

/** One request that shared its decode steps with `rows` - 1 like it. */
export function workerTrace(
  id: string,
  start: number,
  shape: { prompt: number; output: number; rows: number },
): RecordedSpan[] {
  const { prompt, output, rows } = shape;
  const steps = output - 1;
  const prefill = prefillMs(EXACT_MODEL, prompt, prompt * prompt);
  const step = decodeMs(EXACT_MODEL, rows, rows * (prompt + steps / 2));
  const [from, first] = [start + 1, start + 1 + prefill];
  const end = first + step * steps;
  const span = (name: string, begin: number, until: number, more: Partial<RecordedSpan>): RecordedSpan => {
    const times = { timestamp: Math.round(begin * 1e3), duration: Math.round((until - begin) * 1e3) };
    return {
      traceId: id,
      id: `${id} ${name} ${begin}`,
      name,
      annotations: [],
      tags: {},
      parentId: "generate",
      ...times,
      ...more,
    };
  };
  const seconds = (ms: number): string => String(ms / 1e3);
  return [
    span("post /v1/completions", start, end, { id: "server", parentId: "client", kind: "SERVER" }),
    span("model.generate", start, end, {
      id: "generate",
      parentId: "server",
      annotations: [{ timestamp: Math.round((first + 2) * 1e3), value: "first_token" }],
      tags: { "ai.outcome": "finished", "ai.prompt.length": String(prompt), "ai.response.length": String(output) },
    }),
    span("inference.forward", from, first, {
      tags: {
        "ai.phase": "prefill",
        "ai.steps": "1",
        "ai.tokens": String(prompt),
        "ai.batch.size": "1",
        "ai.step_ms.max": String(prefill),
        "ai.cost.device_seconds": seconds(prefill),
      },
    }),
    span("inference.forward", first, end, {
      tags: { "ai.phase": "decode", "ai.steps": String(steps), "ai.batch.mean_size": String(rows) },
    }),
  ];
}

/** Requests of several lengths at several loads, far apart from each other. */
export function workerTraces(): RecordedSpan[][] {
  const shapes = [1, 2, 4, 8].flatMap((rows) =>
    [20, 100, 400].map((prompt) => ({ prompt, output: 20 + prompt / 4, rows })),
  );
  return shapes.map((shape, index) => workerTrace(`t${index}`, index * 1e5, shape));
}
