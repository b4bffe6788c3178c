import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { BodyFormat } from "./http-sender.js";
import type { ZipkinEndpoint, ZipkinSpan } from "./zipkin-span.js";

/** Field numbers of Zipkin's published proto3 form, `zipkin.proto3` (https://github.com/openzipkin/zipkin-api). */
const LIST = { spans: 1 } as const;
const SPAN = {
  traceId: 1,
  parentId: 2,
  id: 3,
  kind: 4,
  name: 5,
  timestamp: 6,
  duration: 7,
  localEndpoint: 8,
  remoteEndpoint: 9,
  annotations: 10,
  tags: 11,
  debug: 12,
  shared: 13,
} as const;
const ENDPOINT = { serviceName: 1, ipv4: 2, ipv6: 3, port: 4 } as const;
const ANNOTATION = { timestamp: 1, value: 2 } as const;
const ENTRY = { key: 1, value: 2 } as const;
const KIND = { CLIENT: 1, SERVER: 2, PRODUCER: 3, CONSUMER: 4 } as const;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;

export const PROTO_FORMAT: BodyFormat = { contentType: "application/x-protobuf", encode: encodeProto };

/** A batch as `ListOfSpans`. @param spans Zipkin v2 spans as JSON, as they are queued */
export function encodeProto(spans: readonly string[]): Buffer {
  const writer = new BinaryWriter();
  for (const json of spans) nested(writer, LIST.spans, () => writeSpan(writer, JSON.parse(json) as ZipkinSpan));
  return Buffer.from(writer.finish());
}

function nested(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, LENGTH).fork();
  write();
  writer.join();
}

/** Absent and empty are the same in proto3. */
function text(writer: BinaryWriter, field: number, value: string | undefined): void {
  if (value !== undefined && value !== "") writer.tag(field, LENGTH).string(value);
}

function hex(writer: BinaryWriter, field: number, digits: string | undefined): void {
  if (digits !== undefined) writer.tag(field, LENGTH).bytes(Buffer.from(digits, "hex"));
}

function writeSpan(writer: BinaryWriter, span: ZipkinSpan): void {
  hex(writer, SPAN.traceId, span.traceId);
  hex(writer, SPAN.parentId, span.parentId);
  hex(writer, SPAN.id, span.id);
  if (span.kind !== undefined) writer.tag(SPAN.kind, VARINT).int32(KIND[span.kind]);
  text(writer, SPAN.name, span.name);
  writer.tag(SPAN.timestamp, FIXED64).fixed64(span.timestamp);
  writer.tag(SPAN.duration, VARINT).uint64(span.duration);
  writeEndpoint(writer, SPAN.localEndpoint, span.localEndpoint);
  if (span.remoteEndpoint !== undefined) writeEndpoint(writer, SPAN.remoteEndpoint, span.remoteEndpoint);
  for (const { timestamp, value } of span.annotations ?? [])
    nested(writer, SPAN.annotations, () => {
      writer.tag(ANNOTATION.timestamp, FIXED64).fixed64(timestamp);
      text(writer, ANNOTATION.value, value);
    });
  for (const [key, value] of Object.entries(span.tags ?? {}))
    nested(writer, SPAN.tags, () => {
      text(writer, ENTRY.key, key);
      text(writer, ENTRY.value, value);
    });
  if (span.debug) writer.tag(SPAN.debug, VARINT).bool(true);
  if (span.shared) writer.tag(SPAN.shared, VARINT).bool(true);
}

function writeEndpoint(writer: BinaryWriter, field: number, endpoint: ZipkinEndpoint): void {
  nested(writer, field, () => {
    text(writer, ENDPOINT.serviceName, endpoint.serviceName);
    const { ipv4, ipv6 } = endpoint;
    if (ipv4 !== undefined) writer.tag(ENDPOINT.ipv4, LENGTH).bytes(Uint8Array.from(ipv4.split("."), Number));
    if (ipv6 !== undefined) writer.tag(ENDPOINT.ipv6, LENGTH).bytes(ipv6Bytes(ipv6));
    if (endpoint.port !== undefined) writer.tag(ENDPOINT.port, VARINT).int32(endpoint.port);
  });
}

/** The 16 bytes of an address that `isIP` took: `::` once, a zone, and an IPv4 tail are possible. */
export function ipv6Bytes(address: string): Uint8Array {
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const groups = (part: string): number[] => (part === "" ? [] : part.split(":").flatMap(groupBytes));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const bytes = new Uint8Array(16);
  bytes.set(front);
  bytes.set(back, 16 - back.length);
  return bytes;
}

function groupBytes(group: string): number[] {
  if (group.includes(".")) return group.split(".").map(Number);
  const value = Number.parseInt(group, 16);
  return [value >> 8, value & 0xff];
}
