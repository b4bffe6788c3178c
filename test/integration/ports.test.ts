import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { after, before } from "mocha";
import pino from "pino";
import { launch } from "../../src/cli/launch.js";
import { checkPorts } from "../../src/cli/ports.js";
import { loadConfig } from "../../src/config.js";
import { VitrineError } from "../../src/errors.js";
import { freePort } from "../support/free-port.js";

describe("ports, before anything is started", () => {
  const holder = createServer();
  let taken: number;
  before(async () => {
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
    taken = (holder.address() as AddressInfo).port;
  });
  after(() => void holder.close());

  const refusal = async (flags: Record<string, string>): Promise<VitrineError> => {
    const error: unknown = await checkPorts(loadConfig(flags, {})).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof VitrineError);
    assert.equal(error.code, "port_unavailable");
    return error;
  };

  it("are told with the option that named them", async () => {
    assert.match((await refusal({ port: `${taken}` })).message, new RegExp(`Port ${taken} on .* taken: .* --port`));
    assert.match((await refusal({ port: "0", adminPort: `${taken}` })).message, /taken: .* --admin-port/);
    const free = `${await freePort()}`;
    assert.match((await refusal({ port: free, adminPort: free })).message, /taken: .* --admin-port/);
    assert.match((await refusal({ host: "192.0.2.1", port: "0" })).message, /192\.0\.2\.1 is not an address/);
  });

  it("are free again afterwards", async () => {
    const port = `${await freePort()}`;
    const admin = `${await freePort()}`;
    await checkPorts(loadConfig({ port, adminPort: admin }, {}));
    await checkPorts(loadConfig({ port: admin, adminPort: port }, {}));
  });

  it("end a start that has not begun", async () => {
    const lines: string[] = [];
    const logger = pino({ level: "trace" }, { write: (line: string) => void lines.push(line) });
    const starting = launch(loadConfig({ model: "tiny", port: "0", adminPort: `${taken}` }, {}), logger);
    await assert.rejects(starting, { code: "port_unavailable" });
    // An engine that was started would say how it ended.
    assert.deepEqual(lines, []);
  });
});
