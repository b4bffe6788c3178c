import { z } from "zod";

interface Decoder {
  readonly type?: string | undefined;
  readonly decoders?: readonly Decoder[] | undefined;
}

const decoder: z.ZodType<Decoder> = z.lazy(() =>
  z.object({ type: z.string().optional(), decoders: z.array(decoder).optional() }),
);

/** The bytes of the text that an entry of the vocabulary stands for, whatever its neighbours. */
export type PieceBytes = (piece: string) => Uint8Array;

/**
 * How a tokenizer's vocabulary writes bytes, from its file: byte-level BPE has a character for each byte;
 * SentencePiece's has `▁` for a space and, for bytes that are no character of its own, `<0xE2>`.
 */
export function pieceBytesOf(file: unknown): PieceBytes {
  const { data } = z.object({ decoder }).safeParse(file);
  const types = typesOf(data?.decoder);
  if (types.includes("ByteLevel")) return byteLevelBytes;
  const spaces = types.includes("Metaspace") || types.includes("Replace");
  const fallback = types.includes("ByteFallback");
  return (piece) => {
    const byte = fallback ? /^<0x([\dA-F]{2})>$/i.exec(piece)?.[1] : undefined;
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    return Buffer.from(spaces ? piece.replaceAll("▁", " ") : piece);
  };
}

function typesOf(node: Decoder | undefined): readonly string[] {
  return node === undefined ? [] : [node.type ?? "", ...(node.decoders ?? []).flatMap(typesOf)];
}

function byteLevelBytes(piece: string): Uint8Array {
  return Buffer.concat([...piece].map((character) => BYTE_LEVEL.get(character) ?? Buffer.from(character)));
}

/** GPT-2's characters: printable Latin-1 stands for itself, every other byte for a character from U+0100 on. */
const BYTE_LEVEL: ReadonlyMap<string, Uint8Array> = (() => {
  const printable = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [
      String.fromCharCode(printable(byte) ? byte : next++),
      Uint8Array.of(byte),
    ]),
  );
})();
