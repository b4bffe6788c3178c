/** A library with the shape of transformers.js 3 and 4: callable classes, a model that generates, a tokenizer, a pipeline. */
import type { ManualClock } from "./manual-clock.js";

export interface FakeTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: BigInt64Array;
}

export function ids(rows: number, length: number): FakeTensor {
  return { type: "int64", dims: [rows, length], data: new BigInt64Array(rows * length).fill(1n) };
}

export interface FakeInputs {
  readonly input_ids: FakeTensor;
  readonly attention_mask?: FakeTensor;
  readonly past_key_values?: object;
  readonly max_new_tokens?: number;
  readonly streamer?: { put(step: number): void };
  readonly stopping_criteria?: unknown;
  readonly [other: string]: unknown;
}

/** Microseconds that things take on the test's clock. */
export const TOOK = { prefill: 5_000, decode: 1_000, sample: 100, encode: 700, tokenize: 50, load: 90_000 };

/** As the library has it: instances are functions that call their class's `_call`. */
class Callable {
  constructor() {
    const callable = (...args: never[]): unknown => (callable as unknown as Callable)._call(...args);
    // biome-ignore lint/correctness/noConstructorReturn: that is how the library makes its objects callable.
    return Object.setPrototypeOf(callable, new.target.prototype);
  }

  _call(..._args: never[]): unknown {
    throw new Error("no _call");
  }
}

export function fakeTransformers(clock: ManualClock) {
  class PreTrainedModel extends Callable {
    can_generate = true;
    config: Record<string, unknown> = {
      model_type: "fake",
      max_position_embeddings: 64,
      num_hidden_layers: 2,
      vocab_size: 9,
    };
    generation_config: Record<string, unknown> = { do_sample: true, temperature: 0.5, top_k: 40 };
    sessions: Record<string, { run(feeds: object): Promise<object> }> = {};

    static async from_pretrained(name: string, options: { readonly fail?: Error; readonly dtype?: string } = {}) {
      await null;
      clock.advance(TOOK.load);
      if (options.fail !== undefined) throw options.fail;
      const model = new this();
      model.config._name_or_path = name;
      return model;
    }

    override async _call(inputs: FakeInputs): Promise<object> {
      return await this.forward(inputs);
    }

    async forward(inputs: FakeInputs): Promise<object> {
      const { session } = this.sessions;
      await session?.run({ input_ids: inputs.input_ids });
      await null;
      clock.advance(inputs.past_key_values === undefined ? TOOK.prefill : TOOK.decode);
      if (inputs.fail instanceof Error) throw inputs.fail;
      return { logits: [] };
    }

    async _prepare_encoder_decoder_kwargs_for_generation(_: { readonly inputs_tensor: FakeTensor }): Promise<void> {
      await null;
      clock.advance(TOOK.encode);
    }

    async generate({ max_new_tokens = 4, streamer, ...inputs }: FakeInputs): Promise<FakeTensor> {
      const { input_ids } = inputs;
      const [rows = 1, length = 1] = input_ids.dims;
      if (this.config.is_encoder_decoder === true) {
        await this._prepare_encoder_decoder_kwargs_for_generation({ inputs_tensor: input_ids });
      }
      await this.forward({ ...inputs, input_ids });
      clock.advance(TOOK.sample);
      streamer?.put(0);
      for (let step = 1; step < max_new_tokens; step++) {
        await this.forward({ ...inputs, input_ids: ids(rows, 1), past_key_values: { "0.key": {} } });
        clock.advance(TOOK.sample);
        streamer?.put(step);
      }
      return ids(rows, length + max_new_tokens);
    }
  }

  /** Overrides what its parent has, as speech models do. */
  class OverridingModel extends PreTrainedModel {
    override async generate(inputs: FakeInputs): Promise<FakeTensor> {
      return await super.generate({ ...inputs, max_new_tokens: 2 });
    }

    override async forward(inputs: FakeInputs): Promise<object> {
      return await super.forward(inputs);
    }
  }

  class EncoderModel extends PreTrainedModel {
    override can_generate = false;
  }

  // biome-ignore lint/complexity/noStaticOnlyClass: the library has it so.
  class PretrainedMixin {
    static async from_pretrained(name: string, options: object) {
      return await PreTrainedModel.from_pretrained(name, options);
    }
  }
  class AutoModelForCausalLM extends PretrainedMixin {}

  class PreTrainedTokenizer extends Callable {
    override _call(text: string | readonly string[]): object {
      const texts = typeof text === "string" ? [text] : text;
      clock.advance(TOOK.tokenize);
      if (texts.includes("")) throw new TypeError(`not a text: ${JSON.stringify(texts)}`);
      return { input_ids: ids(texts.length, this.encode(texts[0] ?? "").length) };
    }

    encode(text: string): number[] {
      return [...text].map((_, index) => index);
    }

    batch_decode(rows: FakeTensor): string[] {
      return rows.dims.slice(0, 1).map(() => "an answer");
    }
  }

  // biome-ignore lint/complexity/noStaticOnlyClass: the library has it so.
  class AutoTokenizer {
    static async from_pretrained(_name: string) {
      await null;
      return new PreTrainedTokenizer();
    }
  }

  class Pipeline extends Callable {
    constructor(
      readonly task: string,
      readonly model: PreTrainedModel,
      readonly tokenizer: PreTrainedTokenizer,
    ) {
      super();
    }

    async dispose(): Promise<void> {}
  }

  class TextGenerationPipeline extends Pipeline {
    override async _call(text: string, options: object = {}): Promise<string[]> {
      const inputs = this.tokenizer._call(text) as FakeInputs;
      return this.tokenizer.batch_decode(await this.model.generate({ ...inputs, ...options }));
    }
  }

  async function pipeline(task: string, name: string, options: object = {}): Promise<TextGenerationPipeline> {
    const [tokenizer, model] = await Promise.all([
      AutoTokenizer.from_pretrained(name),
      AutoModelForCausalLM.from_pretrained(name, options),
    ]);
    return new TextGenerationPipeline(task, model, tokenizer);
  }

  return {
    // Bases that bundles do not export: PreTrainedModel, PreTrainedTokenizer, Pipeline.
    OverridingModel,
    EncoderModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    ReadingTokenizer: class extends PreTrainedTokenizer {},
    TextGenerationPipeline,
    pipeline,
    softmax: (values: readonly number[]) => values,
    version: "3",
  };
}

export type FakeTransformers = ReturnType<typeof fakeTransformers>;
