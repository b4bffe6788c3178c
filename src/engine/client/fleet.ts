import type { CancelCause, EngineRequest, EngineRun, RequestEvent, RequestId, StepStats } from "../../protocol.js";
import type { EngineClient, EngineLoad, EngineState, EngineStatus } from "./client-contract.js";
import { FleetMember } from "./fleet-member.js";

/** A common prefix of fewer tokens is not worth choosing an engine for: computing it takes a fraction of a step. */
const WORTH_CHOOSING = 64;
/** An engine with this many tokens more to do than the least loaded one gets no request for what it has cached. */
const LOAD_MARGIN = 2_048;

/** Several engines as one. `prompts` is how many prompts to remember for each: as many as its cache has rows. */
export function createFleet(engines: readonly EngineClient[], prompts: number): EngineClient {
  return new Fleet(engines, prompts);
}

/**
 * Sends each request to the ready engine that knows most of its prompt, unless that has too much to do, else to the
 * least loaded. One that dies ends its own requests; the others go on, and take what comes until it is back.
 */
class Fleet implements EngineClient {
  /** Engines of equal load in the order of their turns. */
  #members: readonly FleetMember[];
  readonly #clients: readonly EngineClient[];
  readonly #homes = new Map<RequestId, FleetMember>();

  constructor(clients: readonly EngineClient[], prompts: number) {
    this.#clients = clients;
    this.#members = clients.map((client) => new FleetMember(client, prompts));
  }

  /** The best state of any; a ready fleet's model has the shortest context of those that are. */
  get state(): EngineState {
    const states = this.#clients.map(({ state }) => state);
    const ready = states.filter((state) => state.kind === "ready");
    const [first] = ready;
    if (first !== undefined) {
      const contextLength = Math.min(...ready.map(({ model }) => model.contextLength));
      return { ...first, model: { ...first.model, contextLength } };
    }
    const kinds = ["starting", "restarting", "failed"];
    const best = kinds.map((kind) => states.find((state) => state.kind === kind)).find((state) => state !== undefined);
    return best ?? { kind: "stopped" };
  }

  get engines(): readonly EngineStatus[] {
    return this.#clients.flatMap(({ engines }) => engines);
  }

  get inFlight(): number {
    return this.#clients.reduce((sum, { inFlight }) => sum + inFlight, 0);
  }

  submit(request: EngineRequest, onEvent: (event: RequestEvent) => void): void {
    const { id } = request;
    const rival = this.#homes.get(id);
    if (rival !== undefined) {
      // Refused there, since it has that id already.
      rival.client.submit(request, onEvent);
      return;
    }
    const member = this.#choose(request);
    this.#members = [...this.#members.filter((other) => other !== member), member];
    this.#homes.set(id, member);
    member.submit(request, (event) => {
      if (event.type === "ended") this.#homes.delete(id);
      onEvent(event);
    });
  }

  stop(id: RequestId): void {
    this.#homes.get(id)?.client.stop(id);
  }

  cancel(id: RequestId, cause: CancelCause): void {
    this.#homes.get(id)?.client.cancel(id, cause);
  }

  onLoad(listener: (load: EngineLoad) => void): void {
    for (const client of this.#clients) client.onLoad(listener);
  }

  onState(listener: (state: EngineState) => void): void {
    for (const client of this.#clients) client.onState(() => listener(this.state));
  }

  onStep(listener: (step: StepStats, run: EngineRun) => void): void {
    for (const client of this.#clients) client.onStep(listener);
  }

  async shutdown(timeoutMs: number): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.shutdown(timeoutMs)));
  }

  #choose(request: EngineRequest): FleetMember {
    const ready = this.#members.filter((member) => member.ready).sort((a, b) => a.load - b.load);
    // Without any, one refuses it and says why.
    const idlest = ready[0] ?? (this.#members[0] as FleetMember);
    let [best, known] = [idlest, WORTH_CHOOSING - 1];
    for (const member of ready) {
      if (member.load > idlest.load + LOAD_MARGIN) break;
      const tokens = member.knows(request);
      if (tokens > known) [best, known] = [member, tokens];
    }
    return best;
  }
}
