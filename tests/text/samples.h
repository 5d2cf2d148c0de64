// Texts on which tokenizers are known to disagree, and seeded random Unicode, for tests of the room text/.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "assay/base/random.h"

namespace assay::samples {

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline std::string utf8(uint32_t point) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (point >> shift & 0x3F)); };
  if (point < 0x80) return {static_cast<char>(point)};
  if (point < 0x800) return {static_cast<char>(0xC0 | point >> 6), tail(0)};
  if (point < 0x10000) return {static_cast<char>(0xE0 | point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | point >> 18), tail(12), tail(6), tail(0)};
}

// Written by hand: scripts, emoji, white space, contractions, code.
inline std::vector<std::string> hand_written() {
  std::vector<std::string> texts = {
      "",
      " ",
      "Hello, world!",
      " Hello",
      "naïve façade, Ærøskøbing, ŁÓDŹ, İstanbul, ẞ ß ﬁ ﬂ",
      "I'm you're he's she'd we'll they've it't",
      "I'M YOU'RE HE'S SHE'D WE'LL THEY'VE IT'T",
      "i'M You'Re he'S 'tis ''s 'sa 'LLama 'Vex",
      "it’s ‘quoted’ don`t it'\xC5\xBF x'\xC5\xBFy \xC5\xBF' K\xE2\x84\xAA",
      "日本語のテキストと漢字、カタカナ。ｶﾞｷﾞ「引用」",
      "中文文本,没有空格。繁體字！『書名』 3个苹果",
      "한국어 텍스트입니다. 각 자모: ᄀ\xE1\x85\xA1\xE1\x86\xA8",
      "مرحبا بالعالم! اللُّغَة العَرَبِيَّة ١٢٣٤٥",
      "नमस्ते दुनिया। हिन्दी में लिखा हुआ पाठ १२३ क्षत्रिय क\xE0\xA4\xBC",
      "สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง ๑๒๓",
      "Привет, мир! Съешь ещё этих мягких булок. Ёлка и\xCC\x86",
      "Ελληνικά: ἀρχὴ ἥμισυ παντός. Ω Ω",
      "עברית עם נִקּוּד",
      "e\xCC\x81 a\xCC\x8A o\xCC\x88\xCC\x84 q\xCC\x87\xCC\xA3 q\xCC\xA3\xCC\x87 Å \xE2\x84\xAB ệ e\xCC\x82\xCC\xA3",
      "👩‍👩‍👧‍👦 👨🏽‍🚀 🏳️‍🌈 🇫🇷🇯🇵🇺🇸 👍🏻👍🏿 ❤️‍🔥 1️⃣ ☺︎ "
      "🫠🪿",
      "a👍b 👍 👍👍  👍\n👍",
      "price: $1,234.56 €99 £5 ¥1000 ₹12 50% 1/2 ½ x² H₂O №5 Ⅷ 三 ٣",
      "0 12 123 1234 12345 1234567890 3.14159e-10 0xDEADBEEF 1_000 v2.0.1",
      "a\tb\t\tc\t\t\td\n\te\n\n\tf\n \n  g\r\nh\r\n\r\ni\rj\r\rk\n\r\n l \r\n m",
      "trailing spaces   \ntrailing tab\t\nend   ",
      "\n",
      "\n\n\n",
      "   \n   ",
      "\r\n",
      " \t \t",
      "a  b   c    d     e      f",
      "non\xC2\xA0"
      "breaking\xE2\x80\x83"
      "em\xE3\x80\x80ideographic\xE1\xA0\x8Emongolian\xE2\x80\x8Bzero\xEF\xBB\xBF"
      "bom\xC2\x85nel\xE2\x80\xA8line\x0B\x0C\x1C\x1Fz",
      "x  \xE1\xA0\x8Ey  \xE1\xA0\x8E",
      "\xEF\xBB\xBFstarts with a byte order mark",
      std::string("nul\0inside\x01\x7F", 12),
      "int main(int argc, char** argv) {\n  for (int i = 0; i < 10; ++i) printf(\"%d\\n\", i);\n\treturn 0;\n}\n",
      "def f(x: float) -> float:\n    \"\"\"Doc.\"\"\"\n    return x**2 if x >= 0 else -x  # comment\n\n\nclass A(B):\n    pass\n",
      "{\"key\": [1, 2.5, -3e4, true, null], \"nested\": {\"a\\\"b\": \"\\u00e9\"}}",
      "<div class=\"x\">&amp;&nbsp;</div><!-- c --> http://example.com/a?b=c&d=%20#e user@example.com",
      "~!@#$%^&*()_+-={}[]|\\:;\"'<>?,./`",
      "......!!!!?\?\?\?----____====####****",
      "CamelCaseAndsnake_case_and-kebab-case ALLCAPS mIxEd",
      "Ａｆｕｌｌ　ｗｉｄｔｈ１２３",
      "𝒜𝓁𝑔𝑒𝒷𝓇𝒶 𝟘𝟙𝟚 𐍈 𒀀 𓀀 𠀀",
      "\xF0\x9E\x93\x90\xF0\x9E\x97\x90\xE0\xA1\xB0 letters of Unicode 14, 15 and 16 \xF0\xAE\xAF\xB0",
      "▁already▁escaped ▁ ▁▁",
      "<0x0A> <0xFF> <0x41>",
      "Ġbyte Ċalphabet ĉ Ń",
      "text<|endoftext|>more <|endoftext|> <|endoftext|><|endoftext|>\n<|endoftext|>\n",
      "<|im_start|>system\nYou are.<|im_end|>\n<|im_start|>user\nHi <|im_end|> there<|im_end|>",
      "<s>begin</s> mid <s> x<s>y </s></s><unk>z",
      "<|endoftext|",
      "<|<|endoftext|>|>",
      "<|file_sep|><filename>a.py<reponame>r<fim_prefix>x<issue_start>",
      "<|user|>\nHi  <|end|>\n <|assistant|> x<|system|>\ty<|placeholder1|>z",
      "<tool_call>{}</tool_call><|vision_start|>x",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "abababababababababababababababababababababababababababababababababababababababababab",
      "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
  };
  for (const size_t n : {2, 3, 7, 15, 16, 17, 31, 33, 64, 65, 127, 300, 1000}) {
    for (const char* unit : {" ", "\n", "\t", "\r\n", "7", "=", "-", "ab", "é", "漢", "👍", " \n", ". "}) {
      std::string text;
      for (size_t i = 0; i < n; ++i) text += unit;
      texts.push_back(text);
      texts.push_back("x" + text + "y");
    }
  }
  return texts;
}

// Bytes that are no UTF-8: stray and missing continuations, overlong forms, surrogates, beyond U+10FFFF.
inline std::vector<std::string> invalid_utf8() {
  return {"\xFF",
          "a\xFF"
          "b",
          "a\x80\x81z",
          "cut \xE2\x82",
          "cut \xF0\x9F\x98",
          "\xE2\x82 mid \xF0\x9F\x98 mid \xC3 end",
          "overlong \xC0\xAF \xE0\x80\xAF \xF0\x80\x80\xAF",
          "surrogate \xED\xA0\x80\xED\xB0\x80",
          "beyond \xF4\x90\x80\x80 \xF5\x80\x80\x80 \xF8\x88\x80\x80\x80",
          "latin-1: caf\xE9 na\xEFve",
          "\xC3\xA9\xC3\xC3\xA9\xA9",
          "\xE4\xBD\xA0\xE5\xA5\xBD\xE4\xBD",
          "<|endoftext\xFF|><|endoftext|>\xFE"};
}

// `count` strings of up to 60 characters, drawn from ASCII, Latin, marks, scripts, white space, punctuation, emoji and anything at all.
inline std::vector<std::string> random_unicode(uint64_t seed, size_t count) {
  static constexpr uint32_t kRanges[][2] = {
      {0x20, 0x7E},     {0x61, 0x7A},     {0x30, 0x39},     {0x09, 0x0D},       {0xA0, 0x24F},      {0x300, 0x36F},     {0x370, 0x52F},
      {0x590, 0x6FF},   {0x900, 0xDFF},   {0xE00, 0xEFF},   {0x1100, 0x11FF},   {0x1E00, 0x206F},   {0x2070, 0x2BFF},   {0x3000, 0x30FF},
      {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xFE00, 0xFFFD}, {0x10000, 0x1FFFF}, {0x1F300, 0x1FAFF}, {0x20000, 0x323AF}, {0, 0x10FFFF}};
  CounterRandom random(seed, 4);
  std::vector<std::string> texts(count);
  for (std::string& text : texts) {
    const uint64_t length = random.next_below(60);
    // Half of the strings stay in few ranges, as text does.
    const uint64_t ranges = random.next_below(2) ? std::size(kRanges) : 2 + random.next_below(3);
    for (uint64_t i = 0; i < length; ++i) {
      const auto& range = kRanges[(random.next_below(ranges) + (ranges < std::size(kRanges) ? seed + length : 0)) % std::size(kRanges)];
      const uint32_t point = range[0] + static_cast<uint32_t>(random.next_below(range[1] - range[0] + 1));
      if (point >= 0xD800 && point < 0xE000) continue;
      text += utf8(point);
      if (random.next_below(6) == 0) text += ' ';
    }
  }
  return texts;
}

}  // namespace assay::samples
