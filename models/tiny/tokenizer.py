"""Trains the byte-level BPE tokenizer on the corpus and writes it in the Hugging Face layout.

    python tokenizer.py corpus.jsonl OUT_DIR

Every document begins with <|endoftext|>: the post-processor puts it before plain prompts, and the chat template writes it
itself, so a rendered chat is to be encoded without special tokens added, as transformers does.
"""
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCAB_SIZE = 1024
SAMPLE_DOCUMENTS = 20_000
END_OF_TEXT, IM_START, IM_END, PAD = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"
SPECIAL = [END_OF_TEXT, IM_START, IM_END, PAD]
CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def render(messages: list[dict[str, str]]) -> str:
    """The chat template, for training; `export.py` checks that it writes the same as the Jinja text above."""
    turns = (f"{IM_START}{m['role']}\n{m['content']}{IM_END}\n" for m in messages)
    return END_OF_TEXT + "".join(turns)


def document_text(document: dict) -> str:
    """A document as it is trained on; a story ends where the next document's <|endoftext|> stands."""
    return render(document["messages"]) if "messages" in document else END_OF_TEXT + document["text"]


def plain_texts(lines: list[str]):
    for line in lines:
        document = json.loads(line)
        if "messages" not in document:
            yield document["text"]
            continue
        for message in document["messages"]:
            yield f"{message['role']}\n{message['content']}"


def train(lines: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(plain_texts(lines), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END_OF_TEXT} $A",
        pair=f"{END_OF_TEXT} $A {END_OF_TEXT} $B:1",
        special_tokens=[(END_OF_TEXT, tokenizer.token_to_id(END_OF_TEXT))],
    )
    return tokenizer


def tokenizer_config(max_length: int) -> dict:
    added = {
        str(index): {
            "content": token, "lstrip": False, "normalized": False,
            "rstrip": False, "single_word": False, "special": True,
        }
        for index, token in enumerate(SPECIAL)
    }
    return {
        "add_bos_token": True,
        "added_tokens_decoder": added,
        "additional_special_tokens": [IM_START, IM_END],
        "bos_token": END_OF_TEXT,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": IM_END,
        "model_max_length": max_length,
        "pad_token": PAD,
        "padding_side": "left",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }


def main() -> None:
    corpus, out = Path(sys.argv[1]), Path(sys.argv[2])
    with corpus.open(encoding="utf-8") as file:
        lines = [line for _, line in zip(range(SAMPLE_DOCUMENTS), file)]
    tokenizer = train(lines)
    tokenizer.save(str(out / "tokenizer.json"))
    config = json.dumps(tokenizer_config(2048), indent=2, ensure_ascii=False)
    (out / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")
    print(f"{tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
