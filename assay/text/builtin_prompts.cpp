#include "assay/text/prompts.h"

namespace assay {
namespace {

std::vector<Prompt> once(std::initializer_list<const char*> texts) {
  std::vector<Prompt> prompts;
  for (const char* text : texts) prompts.push_back({text, 1});
  return prompts;
}

// Passages that fill any window.
std::vector<Prompt> repeated(std::initializer_list<const char*> texts) {
  constexpr uint32_t kTimes = 24;
  std::vector<Prompt> prompts;
  for (const char* text : texts) prompts.push_back({text, kTimes});
  return prompts;
}

std::vector<Prompt> chat() {
  return once({
      "User: My bicycle chain keeps slipping when I climb. What should I look at first?\nAssistant: Check the wear of the chain with a "
      "ruler. "
      "If twelve links are longer than they should be, change the chain, and look at the teeth of the cassette too.\nUser: And if both are "
      "new?",
      "User: Please give me three names for a quiet grey cat.\nAssistant: Pebble, Drizzle and Monsieur.\nUser: The last one is good. Does "
      "he "
      "need a collar with it?\nAssistant: Only if he goes out. Indoors a name is enough.",
      "System: You answer in one sentence.\nUser: Why does bread rise?\nAssistant: Yeast eats sugar and gives off gas, which the dough "
      "holds.\n"
      "User: Why does it then stop?\nAssistant:",
      "Customer: The parcel says delivered, but nothing is here.\nAgent: I am sorry. Is there a neighbour who takes parcels in, or a "
      "shed?\n"
      "Customer: I asked both sides of the street.\nAgent: Then I will open a search, and you hear from us by Thursday.",
      "Q: Can I plant tomatoes before the last frost?\nA: Not outside. Keep them on a window sill until the nights stay above eight "
      "degrees.\n"
      "Q: How do I know that they will stay?\nA: You do not; have a cloth ready.",
      "Tutor: What did you notice about the two triangles?\nPupil: They have the same angles.\nTutor: So what can you say about their "
      "sides?\n"
      "Pupil: That they have the same lengths?\nTutor: Careful. Think of a map and the country it shows.",
      "User: Translate into plain English: 'The undersigned hereby requests remittance at the earliest convenience.'\nAssistant: Please "
      "pay us "
      "soon.\nUser: Make it friendlier.\nAssistant: We would be glad if you could pay us soon.",
      "Anna: Are we still walking on Sunday?\nBen: If the rain lets us. The forecast changed twice today.\nAnna: Let us say ten o'clock at "
      "the "
      "bridge, and whoever sees rain calls.\nBen: Good. I bring tea, you bring the map.",
  });
}

std::vector<Prompt> code() {
  return once({
      "def running_mean(values):\n    total = 0.0\n    means = []\n    for count, value in enumerate(values, start=1):\n        total += "
      "value\n"
      "        means.append(total / count)\n    return means\n",
      "#include <stdio.h>\n\nint main(void) {\n  int lines = 0, c;\n  while ((c = getchar()) != EOF)\n    if (c == '\\n') ++lines;\n  "
      "printf(\"%d\\n\", lines);\n  return 0;\n}\n",
      "SELECT city, COUNT(*) AS shops, AVG(area) AS mean_area\nFROM shops\nWHERE opened >= '2015-01-01'\nGROUP BY city\nHAVING COUNT(*) > "
      "3\nORDER BY mean_area DESC;\n",
      "class Stack:\n    def __init__(self):\n        self._items = []\n\n    def push(self, item):\n        self._items.append(item)\n\n  "
      "  "
      "def pop(self):\n        if not self._items:\n            raise IndexError('pop from an empty stack')\n        return "
      "self._items.pop()\n",
      "function debounce(callback, wait) {\n  let timer = null;\n  return (...args) => {\n    clearTimeout(timer);\n    timer = "
      "setTimeout(() "
      "=> callback(...args), wait);\n  };\n}\n",
      "fn gcd(mut a: u64, mut b: u64) -> u64 {\n    while b != 0 {\n        let rest = a % b;\n        a = b;\n        b = rest;\n    }\n  "
      "  "
      "a\n}\n\n#[test]\nfn gcd_of_coprime_is_one() {\n    assert_eq!(gcd(9, 28), 1);\n}\n",
      "#!/bin/sh\nset -eu\nfor file in \"$@\"; do\n  base=$(basename \"$file\" .txt)\n  if [ -s \"$file\" ]; then\n    sort -u \"$file\" > "
      "\"sorted/$base.txt\"\n  fi\ndone\n",
      "{\n  \"name\": \"harbour-light\",\n  \"version\": \"2.4.1\",\n  \"ports\": [8080, 8443],\n  \"limits\": {\"memory\": \"512M\", "
      "\"cpu\": 0.5},\n  \"restart\": true\n}\n",
  });
}

std::vector<Prompt> long_context() {
  return repeated({
      "The ferry leaves the island at six, crosses the strait in the dark and reaches the harbour before the market opens. Every morning "
      "the "
      "same three men carry the mail ashore. Nobody remembers who began it.",
      "Each room of the archive has a number, a lamp and a ladder. The clerk writes the number on a slip, lights the lamp and climbs. When "
      "the "
      "lamp goes out, the slip is returned.",
      "Wash the rice until the water is clear. Add one part of rice to one and a half parts of water, cover the pot, and do not lift the "
      "lid. "
      "After eighteen minutes it is done.",
      "The committee met, heard the report of the treasurer, approved the minutes and adjourned. No motion was brought. The next meeting "
      "was "
      "set for the first Monday of the month.",
      "A river slows where the valley widens, and what it carried falls. Coarse gravel comes first, then sand, then silt, and the finest "
      "clay "
      "only in the still water of the delta.",
      "Record: station 14, wind from the west, three knots, sea calm, visibility good. Record: station 15, wind from the north, five "
      "knots, sea "
      "slight, visibility fair.",
      "In the first year the orchard gave nothing. In the second year it gave a basket of small apples. In the third year the branches had "
      "to "
      "be held up with poles.",
      "If the red light is on, close the valve and wait. If the green light is on, open the valve a quarter turn and read the gauge. If "
      "neither "
      "is on, call the engineer.",
  });
}

std::vector<Prompt> math() {
  return once({
      "Let n be an odd number. Then n = 2k + 1 for some integer k, so n^2 = 4k^2 + 4k + 1 = 2(2k^2 + 2k) + 1, which is odd. Hence the "
      "square "
      "of an odd number is odd.",
      "Problem: A tank holds 240 litres. One pipe fills it in 6 hours, another empties it in 10 hours. Both are open. Solution: the tank "
      "gains "
      "40 - 24 = 16 litres an hour, so it is full after 240 / 16 = 15 hours.",
      "The derivative of x^3 - 6x^2 + 9x is 3x^2 - 12x + 9 = 3(x - 1)(x - 3). The function rises until x = 1, falls between 1 and 3, and "
      "rises "
      "again; f(1) = 4 and f(3) = 0.",
      "17 + 26 = 43, 43 + 35 = 78, 78 - 19 = 59, 59 * 2 = 118, 118 / 2 = 59, 59 + 41 = 100, 100 * 100 = 10000, 10000 - 1 = 9999.",
      "A fair coin is thrown five times. The probability of exactly two heads is C(5, 2) / 2^5 = 10 / 32 = 5 / 16, and that of at most one "
      "head "
      "is (1 + 5) / 32 = 3 / 16.",
      "Solve 2x + 3y = 12 and x - y = 1. From the second, x = y + 1. Then 2(y + 1) + 3y = 12, so 5y = 10, y = 2 and x = 3. Check: 6 + 6 = "
      "12 "
      "and 3 - 2 = 1.",
      "The sum 1 + 2 + ... + n is n(n + 1)/2. Proof by induction: for n = 1 both sides are 1. If it holds for n, then adding n + 1 gives "
      "n(n + "
      "1)/2 + (n + 1) = (n + 1)(n + 2)/2.",
      "A right triangle has legs of 9 and 40. Its hypotenuse is sqrt(81 + 1600) = sqrt(1681) = 41, its area 9 * 40 / 2 = 180, and the "
      "radius of "
      "its inscribed circle (9 + 40 - 41) / 2 = 4.",
  });
}

std::vector<Prompt> prose() {
  return once({
      "The lamplighter came down the hill a little earlier every evening, as the days grew short, and the children who followed him "
      "learned to "
      "tell the month by the colour of the sky behind his ladder.",
      "Salt made the town rich and salt made it poor again. When the railway reached the mountains, the old road with its inns fell "
      "silent, and "
      "the warehouses by the river were sold one after another.",
      "My grandmother kept her letters in a biscuit tin under the stairs. She never read them again, but on the day the roof leaked it was "
      "the "
      "tin, not the silver, that she carried out first.",
      "Migrating birds steer by the sun, by the stars and by the field of the earth itself. A young bird that has never flown before turns "
      "south on the right night, and nobody has told it.",
      "The court found that the bridge had been inspected twice in ten years, that both reports asked for repairs, and that neither report "
      "had "
      "been opened. The engineer was dismissed; the bridge was closed in May.",
      "Glass is not a slow liquid. The old panes are thicker below because they were made so, and whoever set them put the heavy edge "
      "down; a "
      "few windows in the same church are thicker on top.",
      "They had walked since noon without seeing a house. Towards evening a dog barked somewhere beyond the reeds, once, and stopped, and "
      "both "
      "of them turned towards it without a word.",
      "In spring the council voted for the tram. In summer the first street was opened, in autumn the money ran out, and all winter the "
      "people "
      "of the quarter crossed to the bakery on a plank.",
  });
}

std::vector<Prompt> sentinel() {
  return once({
      "BEGIN RECORD 0001\nstatus: ok\nEND RECORD 0001\nBEGIN RECORD 0002\nstatus: ok\nEND RECORD 0002\nBEGIN RECORD 0003\nstatus:",
      "### Instruction\nSay the word.\n### Input\nnone\n### Response\nword\n### End\n### Instruction\nSay it again.\n### Response\n",
      "[START] a b c [STOP] [START] d e f [STOP] [START] g h i [STOP] [START] j k l [STOP]",
      "XXXX the password is not here XXXX the password is not here XXXX the password is here: swordfish XXXX the password is not here XXXX",
      "<a><b>1</b><b>2</b></a><a><b>3</b><b>4</b></a><a><b>5</b><b>6</b></a><!-- end --><a></a>",
      "=== PAGE 1 OF 3 ===\nIntentionally blank.\n=== PAGE 2 OF 3 ===\nIntentionally blank.\n=== PAGE 3 OF 3 ===\nIntentionally "
      "blank.\n=== EOF ===",
      "TODO(1): read. TODO(2): write. TODO(3): stop. DONE(1). DONE(2). DONE(3). TODO(4): begin again. DONE(4). TODO: none.",
      "0xDEADBEEF 0x00000000 0xDEADBEEF 0x00000000 0xCAFEBABE 0xFFFFFFFF 0xCAFEBABE 0xFFFFFFFF 0xDEADBEEF 0x00000000",
  });
}

std::vector<Prompt> separators_bos() {
  return once({
      "{bos}The first line.\n\n\n\nThe second line.\n\n\n\nThe third line.\n\n\n\nThe fourth.",
      "one, two, three; four, five, six; seven, eight, nine; ten. One. Two. Three. Four. Five.",
      "{bos}{bos}A sentence after two beginnings.{bos}Another one after a third.{bos}And a last one.",
      "---\ntitle: Notes\n---\n\n***\n\nFirst part.\n\n***\n\nSecond part.\n\n***\n\nThird part.\n\n---\n",
      "| name | value |\n|---|---|\n| alpha | 1 |\n| beta | 2 |\n| gamma | 3 |\n| delta | 4 |\n| epsilon | 5 |\n",
      ". . . . . . , , , , , , ; ; ; ; ; ; : : : : : : . . . . . . , , , , , , ! ! ! ! ! ! ? ? ? ? ? ?",
      "\t\tindented twice\n\tindented once\nnot indented\n\tindented once\n\t\tindented twice\n\n\t\t\tindented thrice\n",
      "a\nb\nc\n\nd\ne\nf\n\ng\nh\ni\n\nj\nk\nl\n\nm\nn\no\n\np\nq\nr\n\ns\nt\nu\n\nv\nw\nx\n\ny\nz\n",
  });
}

}  // namespace

const std::vector<PromptStratum>& builtin_prompts() {
  static const std::vector<PromptStratum> strata = {
      {"chat", chat()},   {"code", code()},         {"long_context", long_context()},    {"math", math()},
      {"prose", prose()}, {"sentinel", sentinel()}, {"separators_bos", separators_bos()}};
  return strata;
}

}  // namespace assay
