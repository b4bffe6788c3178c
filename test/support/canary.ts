/** Text that only a client sends, in every form it could leave the process in. */
import { createHash, randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

/** One unique marker for each kind of content, so that a leak says what leaked. */
export class Canary {
  readonly #run = randomBytes(6).toString("hex");
  readonly #cores = new Map<string, string>();

  /** For headers, paths and names of fields: letters and digits alone. */
  plain(kind: string): string {
    const core = `canary${kind}${this.#run}`.toLowerCase();
    this.#cores.set(kind, core);
    return core;
  }

  /** For text: what JSON and URLs have to escape comes along. */
  text(kind: string): string {
    return dressed(this.plain(kind));
  }

  /** Kinds whose marker is in `bytes`, in whatever form. */
  leaksIn(bytes: string): readonly string[] {
    const folded = bytes.toLowerCase();
    return [...this.#cores]
      .filter(([, core]) =>
        formsOf(core).some(({ form, folds }) => (folds ? folded.includes(form.toLowerCase()) : bytes.includes(form))),
      )
      .map(([kind]) => kind);
  }
}

const dressed = (core: string): string => `${core} "é\\/`;

interface Form {
  readonly form: string;
  /** Letters count as equal whatever their case. */
  readonly folds: boolean;
}

/** A marker as it is, escaped, encoded, and hashed without a key. */
export function formsOf(core: string): readonly Form[] {
  const text = dressed(core);
  const json = JSON.stringify(text).slice(1, -1);
  const escaped = Array.from(core, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  const percents = Array.from(core, (char) => `%${char.charCodeAt(0).toString(16)}`).join("");
  const hashes = [core, text].map((one) => createHash("sha256").update(one).digest());
  return [
    ...[core, text, json, encodeURIComponent(text), escaped, percents, Buffer.from(core).toString("hex")].map(
      (form) => ({ form, folds: true }),
    ),
    ...base64Forms(core).map((form) => ({ form, folds: false })),
    ...hashes.flatMap((hash) => [
      { form: hash.toString("hex").slice(0, 16), folds: true },
      { form: hash.toString("base64url").slice(0, 16), folds: false },
    ]),
  ];
}

/** Base64 of text that contains `core`: three alignments, without the digits that its neighbours decide. */
function base64Forms(core: string): readonly string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.from("x".repeat(offset) + core).toString("base64");
    return encoded.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + core.length) * 4) / 3));
  });
}

/** A Zipkin collector that keeps every byte it is sent, the headers too. */
export class KeepingCollector {
  readonly #received: string[] = [];
  spans = 0;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<KeepingCollector> {
    const server = createServer();
    const collector = new KeepingCollector(server);
    server.on("request", (request, response) => {
      if (request.method !== "POST") return response.writeHead(404).end();
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const raw = Buffer.concat(chunks);
        const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
        collector.spans += (JSON.parse(body.toString()) as unknown[]).length;
        collector.#received.push(request.url ?? "", JSON.stringify(request.rawHeaders), body.toString());
        response.writeHead(202).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get text(): string {
    return this.#received.join("\n");
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
