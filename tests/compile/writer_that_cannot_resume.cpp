// expects: the writer of a sink has item_type, a constructor .path, items, metadata.
#include <optscope/checkpoint/resumable_safetensors.hpp>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/probe/sink.hpp>

using namespace optscope;
#ifdef MUST_FAIL
using writer = safetensors_writer;
#else
using writer = resumable_safetensors;
#endif
std::size_t run(const sink<writer, site::mlp_out>& file) { return file.next_text(); }
