/** Protobuf schemas written as tables, for decoders that know nothing of the encoder under test. */
import assert from "node:assert/strict";
import { create, createFileRegistry, type DescMessage } from "@bufbuild/protobuf";
import {
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";

export { Type };

/** A map is a repeated message of key and value. */
type Field = readonly [name: string, number: number, type: Type, message?: string, repeated?: true];
export type MessageTable = Readonly<Record<string, readonly Field[]>>;

export function messageSchema(table: MessageTable, message: string): DescMessage {
  const messageType = Object.entries(table).map(([name, fields]) => ({
    name,
    field: fields.map(([field, number, type, of, repeated]) => ({
      name: field,
      jsonName: field,
      number,
      type,
      label: repeated ? Label.REPEATED : Label.OPTIONAL,
      ...(of === undefined ? {} : { typeName: `.t.${of}` }),
    })),
  }));
  const file = [{ name: "t.proto", package: "t", syntax: "proto3", messageType }];
  const schema = createFileRegistry(create(FileDescriptorSetSchema, { file })).getMessage(`t.${message}`);
  assert.ok(schema !== undefined);
  return schema;
}
