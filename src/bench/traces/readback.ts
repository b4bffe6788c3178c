import type { LoadPoint } from "../result.js";
import { summarizeTraces } from "./summarize-traces.js";
import { readApi } from "./trace-link.js";
import { readTraces, type TraceReaderOptions } from "./trace-reader.js";

/** A target's own store has a span as soon as it ended; to a collector, spans travel in batches of some seconds. */
const OWN_STORE_PATIENCE_MS = 3_000;
const COLLECTOR_PATIENCE_MS = 15_000;

/** How the traces are read; the rest follows from where they are. */
type Reading = Pick<TraceReaderOptions, "fetch" | "now" | "sleep">;

/**
 * Adds to a load's results what its traces say. From the target's own store, which keeps the last spans only, they are read
 * between one load and the next; from a Zipkin, which has the harness's spans as well, once all is over.
 */
export class TraceReadback {
  constructor(
    private readonly zipkinEndpoint: string | undefined,
    private readonly reading: Reading = {},
  ) {}

  /** @param base address of the target's API */
  async afterLoad(point: LoadPoint, base: string): Promise<LoadPoint> {
    if (this.zipkinEndpoint !== undefined) return point;
    return this.#read(point, { api: readApi(base), clientStored: false, patienceMs: OWN_STORE_PATIENCE_MS });
  }

  async atEnd(points: readonly LoadPoint[]): Promise<readonly LoadPoint[]> {
    const { zipkinEndpoint } = this;
    if (zipkinEndpoint === undefined) return points;
    const { now = () => performance.now() } = this.reading;
    const deadline = now() + COLLECTOR_PATIENCE_MS;
    const found: LoadPoint[] = [];
    for (const point of points) {
      // While one load's spans were waited for, the others' had the same time to come.
      const patienceMs = Math.max(0, deadline - now());
      found.push(await this.#read(point, { api: readApi("", zipkinEndpoint), clientStored: true, patienceMs }));
    }
    return found;
  }

  async #read(
    point: LoadPoint,
    where: Pick<TraceReaderOptions, "api" | "clientStored" | "patienceMs">,
  ): Promise<LoadPoint> {
    const ids = point.requests.flatMap(({ traceId }) => traceId ?? []);
    const read = await readTraces(ids, { ...where, ...this.reading });
    return { ...point, ...summarizeTraces(point.requests, read, where.clientStored) };
  }
}
