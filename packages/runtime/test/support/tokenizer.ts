/** A byte-level tokenizer of nine tokens: six characters (`Ġ` is the space, `Ã` and `©` the two bytes of é), two merges, a special token. */
export const tokenizer = {
  version: "1.0",
  added_tokens: [
    {
      id: 8,
      content: "<end>",
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true
    }
  ],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: { a: 0, b: 1, Ġ: 2, Ã: 3, "©": 4, Ċ: 5, ab: 6, Ġab: 7 },
    merges: [
      ["a", "b"],
      ["Ġ", "ab"]
    ]
  }
}
