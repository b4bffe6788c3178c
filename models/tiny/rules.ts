/**
 * The story grammar as data: word lists, slots and rules.
 *
 * A rule is a list of alternatives. In an alternative, `{#rule}` expands another rule, `{slot}` writes the value bound
 * to a slot and `{slot.form}` one of its other forms. The first mention of a slot binds it; every later mention must be
 * the same value, which is how hero, friend, place, thing and sums stay consistent. `grammar.ts` walks this data in both
 * directions, so what the generator writes is exactly what the parser accepts.
 */

/** The written forms of one word; `name` is the plain one. */
export type Forms = Readonly<Record<string, string>>;

/** What is bound so far, by slot. */
export type Bindings = Readonly<Record<string, Forms>>;

export interface Slot {
  readonly from: readonly Forms[];
  /** Tells whether a value may be bound given the values bound before it. */
  readonly allow?: (value: Forms, bound: Bindings) => boolean;
}

const list = (text: string): string[] => text.split(" ");
const plain = (text: string): Forms[] => list(text).map((name) => ({ name }));

const girl = { kind: "girl", he: "she", He: "She", him: "her", his: "her", His: "Her" };
const boy = { kind: "boy", he: "he", He: "He", him: "him", his: "his", His: "His" };

const people = (girls: string, boys: string): readonly Forms[] => [
  ...list(girls).map((name) => ({ ...girl, name })),
  ...list(boys).map((name) => ({ ...boy, name })),
];

/** No name is in both lists: that two people of one story differ is then not left to a small model's memory. */
const heroes = people("Mia Lily Anna Rosa Emma Nora", "Tom Ben Max Leo Sam Finn");
const friends = people("Ella Lucy Zoe Ida Maya Clara", "Hugo Noah Paul Jack Otto Ravi");

const places: readonly Forms[] = [
  ...list("park forest garden meadow valley barn").map((noun) => ({ name: `the ${noun}`, at: `in the ${noun}` })),
  ...list("river lake sea pond").map((noun) => ({ name: `the ${noun}`, at: `by the ${noun}` })),
  ...list("hill farm beach bridge").map((noun) => ({ name: `the ${noun}`, at: `on the ${noun}` })),
  ...list("market mill castle").map((noun) => ({ name: `the ${noun}`, at: `at the ${noun}` })),
];

const colors: readonly Forms[] = plain("red blue green yellow white black golden silver pink brown");
const things: readonly Forms[] = plain("kite ball boat drum hat book lamp bell key box cup scarf ring map coin doll");
const animals: readonly Forms[] = plain("cat dog fox duck frog rabbit bird goat pony mouse hen squirrel");

const goods: readonly Forms[] = list("apple pear plum nut shell flower egg cookie stone button carrot candle").map(
  (one) => ({ name: `${one}s`, one }),
);

const words =
  "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty";

/** One to twenty: `name` is the word, `digits` the figure. */
const numbers: readonly Forms[] = list(words).map((name, index) => ({ name, digits: String(index + 1) }));

const amountOf = (number: Forms | undefined): number => Number(number?.digits);
const between = (low: number, high: number): readonly Forms[] => numbers.slice(low - 1, high);

export const slots: Readonly<Record<string, Slot>> = {
  hero: { from: heroes },
  friend: { from: friends },
  place: { from: places },
  color: { from: colors },
  thing: { from: things },
  animal: { from: animals },
  goods: { from: goods },
  a: { from: between(2, 9) },
  b: { from: between(2, 3) },
  sum: { from: numbers, allow: (value, bound) => amountOf(value) === amountOf(bound.a) + amountOf(bound.b) },
  total: { from: between(5, 10) },
  given: { from: between(2, 3) },
  left: {
    from: numbers,
    allow: (value, bound) => amountOf(value) === amountOf(bound.total) - amountOf(bound.given),
  },
};

export const rules: Readonly<Record<string, readonly string[]>> = {
  story: ["{#opening} {#home}{#likes} {#plot} {#ending}{#close}"],

  opening: ["{#once}", "{#once}", "{#once}", "{#past}"],
  once: [
    "Once upon a time, there was a {#trait} {hero.kind} named {hero}.",
    "Once upon a time, there lived a {#trait} {hero.kind} called {hero}.",
    "Once upon a time there was a {#trait} {hero.kind} named {hero}.",
    "Once upon a time, a {#trait} {hero.kind} named {hero} lived with {hero.his} {#family}.",
  ],
  past: [
    "Long ago, there was a {#trait} {hero.kind} named {hero}.",
    "There was once a {#trait} {hero.kind} called {hero}.",
    "This is a story about a {#trait} {hero.kind} named {hero}.",
  ],
  trait: ["little", "kind", "brave", "clever", "happy", "quiet", "young", "cheerful"],
  family: ["mother", "father", "grandmother", "grandfather", "family"],
  home: [
    "{hero.He} lived in a {#small} house near {place}.",
    "{hero.His} house was {#small} and stood near {place}.",
    "{hero} and {hero.his} friend {friend} lived near {place}.",
    "{hero.He} had a good friend named {friend}.",
    "{hero.His} best friend was a {friend.kind} named {friend}.",
  ],
  small: ["small", "big", "tiny", "pretty", "warm", "old"],
  likes: [
    "",
    " {hero} loved to {#hobby}.",
    " Every day, {hero.he} liked to {#hobby} and {#hobby2}.",
    " More than anything, {hero} liked to {#hobby}.",
  ],
  hobby: ["sing", "run", "draw", "climb trees", "count the clouds", "play outside", "look at the stars"],
  hobby2: ["dance", "read", "jump", "tell stories", "feed the birds", "play games"],

  plot: ["{#lost}", "{#count}", "{#gift}", "{#hungry}", "{#found}"],
  day: ["One day", "One sunny day", "One morning", "One windy morning", "One cold day", "On a warm day", "One evening"],
  sky: [
    "",
    " The sun was shining.",
    " The sky was {#skycolor}.",
    " A soft wind was blowing.",
    " It was very quiet there.",
  ],
  skycolor: ["blue", "gray", "clear", "full of clouds"],

  lost: [
    "{#day}, {hero} took {hero.his} {color} {thing} to {place}.{#sky} {#gone} {#search} {#sad} {#asked} {#looked}",
    "{#day}, {hero} went to {place} with {hero.his} {color} {thing}.{#sky} {#gone} {#search} {#asked} {#looked}",
  ],
  gone: [
    "But then the {thing} was gone!",
    "Suddenly, the {thing} was gone!",
    "But soon {hero.he} could not see the {thing}.",
  ],
  search: [
    "{hero} looked {#spot} and {#spot2}, but it was not there.",
    "{hero.He} looked {#spot}, but {hero.he} did not find it.",
  ],
  spot: ["under a tree", "behind a rock", "in the grass", "under a bench"],
  spot2: ["behind a wall", "in a bush", "near the path", "under the leaves"],
  sad: ["{hero} was very sad.", "{hero.He} began to cry.", "{hero} felt sad and alone."],
  asked: [
    '"What is wrong?" asked {friend}. "I lost my {thing}," said {hero}.',
    'Then {hero} met {friend}. "I can not find my {thing}," {hero.he} said.',
    '"Why are you sad?" {friend} asked {hero.him}. "My {thing} is gone," said {hero}.',
  ],
  looked: [
    '"{#help}" said {friend}. They looked together, and {friend} found the {thing} {#hidden}.',
    '"{#help}" said {friend}. A {animal} came and showed them the way. The {thing} was {#hidden}!',
    '"{#help}" said {friend}. After a while, {hero} saw the {thing} {#hidden}.',
  ],
  hidden: ["in a hole", "under a blanket", "behind a door", "in a tall tree"],
  help: ["I will help you,", "Do not worry,", "Let's look together,", "We will find it,"],

  count: [
    "{#day}, {hero} went to {place} to look for {goods}.{#sky} {hero.He} found {a} {goods}. {#more} {#add} {#share}",
    "{#day}, {hero} and {friend} walked to {place}.{#sky} {hero} had {a} {goods} in a basket. {#more} {#add} {#share}",
  ],
  more: [
    "{friend} gave {hero.him} {b} more.",
    "Then {friend} came and gave {hero.him} {b} {goods}.",
    '"Here are {b} more {goods} for you," said {friend}.',
  ],
  // The sum stands in figures before it stands in words: the figures beside each other are what a small model can add.
  add: [
    '"How many {goods} do you have now?" asked {friend}. "{a.digits} + {b.digits} = {sum.digits}," said {hero}. "I have {sum} {goods}!"',
    '"{a.digits} + {b.digits} = {sum.digits}," said {friend}. Now {hero} had {sum} {goods}.',
    "{hero} counted them all: {a.digits} + {b.digits} = {sum.digits}. {hero.He} had {sum} {goods}.",
  ],
  share: [
    "They shared the {goods} with a {animal}.",
    "A {animal} came, and {hero} gave it one of the {goods}.",
    "They put the {goods} in a {color} {thing} and smiled.",
    "They carried the {goods} home together.",
  ],

  gift: [
    "It was the birthday of {friend}. {hero} wanted to find a gift. {#day}, {hero.he} went to {place}.{#sky} {#see} {#give}",
    "{#day}, {hero} went to {place} to find a gift for {friend}.{#sky} {#see} {#give}",
  ],
  see: [
    'There {hero.he} saw a {color} {thing}. "{friend} will love this," {hero.he} said.',
    'A {animal} sat {place.at} next to a {color} {thing}. "May I have it?" asked {hero}. "Yes," said the animal.',
    "An old woman sold {hero.him} a {color} {thing} for {a} coins and {b} {goods}.",
  ],
  give: [
    '{hero} gave the {thing} to {friend}. "Thank you, {hero}!" said {friend}. "{#nice}"',
    '"This {thing} is for you," said {hero}. {friend} was so happy that {friend.he} {#joy}.',
    '{hero} ran to {friend} and gave {friend.him} the {thing}. "{#nice}" said {friend}.',
  ],
  nice: ["It is so pretty!", "This is the best day!", "I love it!", "You are so kind!"],
  joy: ["laughed", "danced", "sang a song", "jumped up and down", "hugged {hero.him}"],

  hungry: [
    "{#day}, {hero} and {friend} went to {place}.{#sky} {hero} had {total} {goods} in {hero.his} bag. {#noise} {#feed} {#rest}",
    "{#day}, {hero} went to {place} to meet {friend}.{#sky} {hero.He} carried {total} {goods}. {#noise} {#feed} {#rest}",
  ],
  noise: [
    "Suddenly, they heard a noise. It was a {animal}!",
    "Then a {animal} came out of a bush.",
    '"Look, there is a {animal}!" said {friend}.',
  ],
  feed: [
    '"I think it is hungry," said {friend}. {hero} gave it {given} {goods}.',
    "It was hungry, so {hero} gave it {given} {goods}.",
    '"Please help me," said the animal. "I am so hungry." {hero} gave it {given} of the {goods}.',
  ],
  rest: [
    '"{total.digits} - {given.digits} = {left.digits}," said {friend}. Now {hero} had {left} {goods} left.',
    "{hero} counted: {total.digits} - {given.digits} = {left.digits}. {hero.He} had only {left} left, but {hero.he} was glad. The animal {#thanked}.",
    '"How many are left?" asked {friend}. "{total.digits} - {given.digits} = {left.digits}," said {hero}. "I have {left} {goods} left."',
  ],
  thanked: ["was happy too", "ate them all", "said thank you", "wanted to be their friend"],

  found: [
    "{#day}, {hero} was playing {place.at}.{#sky} {hero.He} found a {color} {thing} {#spot}. {#whose} {#owner}",
    "{#day}, {hero} and {friend} were walking {place.at}.{#sky} {hero} saw a {color} {thing} {#spot}. {#whose} {#owner}",
  ],
  whose: [
    '"Whose {thing} is this?" asked {hero}. "I do not know," said {friend}. "{#ask}"',
    '"Is this your {thing}?" {hero} asked {friend}. "No, it is not mine," said {friend}. "{#ask}"',
  ],
  ask: ["Let's ask the {animal}.", "Maybe it belongs to the {animal}.", "The {animal} may know."],
  owner: [
    "The animal was so glad to have the {thing} back. It gave them {a} {goods}.",
    '"Yes, that is my {thing}!" said the animal. "Thank you, {hero}! Thank you, {friend}!"',
    '"It is not mine, so you may keep it," said the animal. {hero} gave the {thing} to {friend}.',
  ],

  ending: [
    "{hero} and {friend} were very happy.",
    "From that day on, {hero} and {friend} were best friends.",
    "Then {hero} went home and told {hero.his} {#family} about the day {place.at}.",
    "{hero} and {friend} played {place.at} until the sun went down.",
    "That night, {hero} thought about {friend} and smiled.",
    '"{#lesson}" said {friend}, and {hero} smiled.',
  ],
  lesson: ["It is good to have a friend,", "It is good to help,", "What a day,", "We should do this again,"],
  close: ["", "", " The end.", " They all lived happily ever after."],
};
