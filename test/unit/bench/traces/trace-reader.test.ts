import assert from "node:assert/strict";
import { readTraces } from "../../../../src/bench/traces/trace-reader.js";
import { streamedTrace } from "../../../support/recorded-traces.js";

/** A Zipkin whose traces arrive when its clock says so. */
class ScriptedZipkin {
  time = 0;
  readonly paths: string[] = [];
  open = 0;
  mostOpen = 0;

  constructor(private readonly arrivals: ReadonlyMap<string, number>) {}

  readonly options = {
    api: "http://zipkin/api/v2",
    clientStored: false,
    patienceMs: 2_000,
    now: () => this.time,
    sleep: async (ms: number) => {
      this.time += ms;
    },
    fetch: (url: unknown) => this.#answer(String(url)),
  };

  async #answer(url: string): Promise<Response> {
    this.open++;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    await Promise.resolve();
    this.open--;
    const path = url.slice("http://zipkin/api/v2".length);
    this.paths.push(path);
    const here = (id: string): boolean => (this.arrivals.get(id) ?? Number.POSITIVE_INFINITY) <= this.time;
    const single = /^\/trace\/(.*)$/.exec(path)?.[1];
    if (single !== undefined) {
      return here(single) ? Response.json(streamedTrace(single)) : new Response("not found", { status: 404 });
    }
    const ids = new URL(url).searchParams.get("traceIds")?.split(",") ?? [];
    return Response.json(ids.filter(here).map((id) => streamedTrace(id)));
  }
}

describe("readTraces", () => {
  it("reads in batches, at most four at once, each trace once", async () => {
    const ids = Array.from({ length: 420 }, (_, i) => `t${i}`);
    const zipkin = new ScriptedZipkin(new Map(ids.map((id) => [id, 0])));
    const read = await readTraces([...ids, "t0"], zipkin.options);
    assert.equal(read.kind === "read" && read.traces.size, 420);
    assert.equal(zipkin.paths.length, 9);
    assert.equal(zipkin.mostOpen, 4);
  });

  it("asks again for those that have not come, and only for them", async () => {
    const zipkin = new ScriptedZipkin(
      new Map([
        ["a", 0],
        ["b", 0],
        ["late", 600],
      ]),
    );
    const read = await readTraces(["a", "b", "late"], zipkin.options);
    assert.equal(read.kind === "read" && read.traces.size, 3);
    assert.deepEqual(zipkin.paths.slice(1), ["/trace/late", "/trace/late", "/trace/late"]);
  });

  it("gives up when its patience is over, with what has come", async () => {
    const zipkin = new ScriptedZipkin(new Map([["a", 0]]));
    const read = await readTraces(["a", "never"], zipkin.options);
    assert.deepEqual(read.kind === "read" && [...read.traces.keys()], ["a"]);
    assert.equal(zipkin.time, 2_000);
  });

  it("says what is wrong with an address that has no such API", async () => {
    const asked = (fetch: () => Promise<Response>) =>
      readTraces(["a", "b"], { ...new ScriptedZipkin(new Map()).options, fetch });
    const missing = await asked(async () => new Response("no", { status: 404 }));
    assert.deepEqual(missing, { kind: "unavailable", why: "http://zipkin/api/v2 could not be read: it answered 404." });
    const other = await asked(async () => Response.json({ hello: 1 }));
    assert.match(other.kind === "unavailable" ? other.why : "", /not a list of Zipkin's spans/);
  });
});
