import assert from "node:assert/strict";
import type { ChildExit, ChildListener, EngineChild, SpawnEngine } from "../../src/engine/client/child.js";
import type { WireError } from "../../src/errors.js";
import type { EngineCommand, EngineEvent } from "../../src/protocol.js";
import { FakeRunner } from "./fake-runner.js";

const { model, device } = new FakeRunner();

/** One engine process that the test plays. */
export class FakeEngineChild implements EngineChild {
  readonly commands: EngineCommand[] = [];
  killed = false;

  constructor(private readonly listener: ChildListener) {}

  send(command: EngineCommand): void {
    this.commands.push(command);
  }

  kill(): void {
    this.killed = true;
    this.exit({ code: null, signal: "SIGKILL" });
  }

  events(...events: EngineEvent[]): void {
    this.listener.onEvents(events);
  }

  ready(at: number): void {
    this.events({ type: "ready", model, device, load: { start: at - 1, end: at, phases: [] } });
  }

  failLoad(error: WireError, at: number): void {
    const phases = [{ name: "session.create", start: at - 1, end: at }] as const;
    this.events({ type: "load_failed", error, load: { start: at - 2, end: at, phases } });
    this.exit({ code: 1, signal: null });
  }

  log(line: string): void {
    this.listener.onLog(line);
  }

  exit(exit: ChildExit): void {
    this.listener.onExit(exit);
  }

  /** Types of the commands since the start, with their request's id. */
  heard(): string[] {
    return this.commands.map((command) => {
      if (command.type === "submit") return `submit ${command.request.id}`;
      return "id" in command ? `${command.type} ${command.id}` : command.type;
    });
  }
}

/** Stands in for forking: every process started is a `FakeEngineChild`. */
export class FakeEngineProcesses {
  readonly started: FakeEngineChild[] = [];

  readonly spawn: SpawnEngine = (listener) => {
    const child = new FakeEngineChild(listener);
    this.started.push(child);
    return child;
  };

  get latest(): FakeEngineChild {
    const child = this.started.at(-1);
    assert.ok(child !== undefined, "no engine process was started");
    return child;
  }
}
