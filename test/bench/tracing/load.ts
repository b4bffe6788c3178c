/** Streamed completions as a client sees them: when the first token comes, and how long after each other the next ones. */
import { Agent, request } from "node:http";

export interface Load {
  readonly tokens: number;
  readonly ms: number;
  /** From the request to its first token, in milliseconds, one a request. */
  readonly firstTokens: readonly number[];
  /** Between two arrivals of tokens of one request, in milliseconds; what comes in one read is one arrival. */
  readonly gaps: readonly number[];
}

export interface Work {
  /** The model's name as the service has it. */
  readonly model: string;
  /** Tokens of one answer. */
  readonly tokens: number;
  readonly streams: number;
  /** Answers of each stream, one after the other. */
  readonly answers: number;
  readonly headers?: Readonly<Record<string, string>>;
}

const PROMPTS = [
  "Once upon a time",
  "The little dog",
  "One day a girl",
  "There was a big",
  "In the garden",
  "A red bird",
];

/** Always `streams` answers under way: what a server can do. */
export async function closedLoop(address: string, work: Work): Promise<Load> {
  const { streams, answers } = work;
  return measured(work, streams * answers, async (client) => {
    const one = async (stream: number) => {
      for (let answer = 0; answer < answers; answer++) await client.complete(address, stream + answer);
    };
    await Promise.all(Array.from({ length: streams }, (_, stream) => one(stream)));
  });
}

/** Requests that arrive when they arrive, whatever became of those before: `arrivals` in milliseconds from now. */
export async function openLoop(address: string, arrivals: readonly number[], work: Work): Promise<Load> {
  return measured(work, arrivals.length, async (client) => {
    const one = async (at: number, index: number) => {
      await new Promise((resolve) => setTimeout(resolve, at));
      await client.complete(address, index);
    };
    await Promise.all(arrivals.map(one));
  });
}

/** The times of Poisson arrivals at `perSecond` for as long as `ms`; the same for the same random source. */
export function poissonArrivals(perSecond: number, ms: number, random: () => number): number[] {
  const arrivals: number[] = [];
  for (let at = 0; ; ) {
    at -= (Math.log(1 - random()) * 1000) / perSecond;
    if (at > ms) return arrivals;
    arrivals.push(at);
  }
}

async function measured(work: Work, answers: number, drive: (client: Client) => Promise<void>): Promise<Load> {
  const client = new Client(work);
  const began = performance.now();
  try {
    await drive(client);
    const { firstTokens, gaps } = client;
    return { tokens: answers * work.tokens, ms: performance.now() - began, firstTokens, gaps };
  } finally {
    client.close();
  }
}

class Client {
  readonly firstTokens: number[] = [];
  readonly gaps: number[] = [];
  readonly #agent = new Agent({ keepAlive: true });

  constructor(private readonly work: Work) {}

  /** One streamed answer to its end; throws unless it was complete. */
  complete(address: string, prompt: number): Promise<void> {
    const body = JSON.stringify({
      ...{ model: this.work.model, prompt: PROMPTS[prompt % PROMPTS.length], max_tokens: this.work.tokens },
      ...{ temperature: 0, ignore_eos: true, stream: true },
    });
    return new Promise((resolve, reject) => {
      const length = Buffer.byteLength(body);
      const headers = { ...this.work.headers, "content-type": "application/json", "content-length": length };
      const options = { method: "POST", agent: this.#agent, headers };
      let last = performance.now();
      let first = true;
      let reading = false;
      let end = "";
      const sent = request(`${address}/v1/completions`, options, (response) => {
        response.on("data", (chunk: Buffer) => {
          end = chunk.toString("latin1", Math.max(0, chunk.length - 32));
          if (reading) return;
          reading = true;
          setImmediate(() => {
            reading = false;
          });
          const now = performance.now();
          (first ? this.firstTokens : this.gaps).push(now - last);
          first = false;
          last = now;
        });
        response.on("error", reject);
        response.on("end", () =>
          end.includes("[DONE]") ? resolve() : reject(new Error(`the server answered ${response.statusCode}: ${end}`)),
        );
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
