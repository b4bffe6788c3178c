"""A GGUF file's Q4_1 weights as Q4_0, the 4-bit format that llama.cpp computes fastest: requantize.py FROM TO."""
import sys

from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, Keys
from gguf.quants import dequantize, quantize

source, destination = sys.argv[1:]
reader = GGUFReader(source)
writer = GGUFWriter(destination, reader.get_field(Keys.General.ARCHITECTURE).contents())
for field in reader.fields.values():
    # These the writer has of itself.
    if field.name.startswith("GGUF.") or field.name == Keys.General.ARCHITECTURE:
        continue
    kind = field.types[0]
    element = field.types[-1] if kind == GGUFValueType.ARRAY else None
    writer.add_key_value(field.name, field.contents(), kind, sub_type=element)
old, new = GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q4_0
for tensor in reader.tensors:
    if tensor.tensor_type == old:
        writer.add_tensor(tensor.name, quantize(dequantize(tensor.data, old), new), raw_dtype=new)
    else:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
