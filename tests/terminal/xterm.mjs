// Runs streams through xterm.js, a terminal that is not ours.
//
// A line in is a job: {"columns", "rows", "parts": [...]}, each part the bytes of a stream, one
// character a byte. A line out is its outcome: what the terminal is like after each part, as
// pairs of a name and a text. The argument is the directory it is installed in.
//
// Much of this the library keeps to itself; the version is pinned, and whatever is missing
// there stops the job instead of comparing as equal.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.argv[2]}/`);
// The add-on reads its table from the start of the memory that a buffer lies in, so that
// each must have its own.
Buffer.poolSize = 0;
const { Terminal } = require('@xterm/headless');
const { UnicodeGraphemesAddon } = require('@xterm/addon-unicode-graphemes');

/** The value, which must be there. */
function there(object, name) {
  if (object === undefined || object === null || object[name] === undefined) {
    throw new Error(`xterm.js has no ${name}`);
  }
  return object[name];
}

const FLAGS = {
  bold: 'isBold', dim: 'isDim', italic: 'isItalic', blink: 'isBlink', inverse: 'isInverse',
  hidden: 'isInvisible', struck: 'isStrikethrough', overline: 'isOverline', protected: 'isProtected',
};
const UNDERLINES = ['underline', 'underline', 'double', 'curly', 'dotted', 'dashed'];
/** Where a pen has it, and of which style. */
const UNDERLINED = 0x10000000;
const STYLE = 0x1c000000;
const STYLE_AT = 26;
/** Which kind of colour a number is. */
const MODE = 0x3000000;
/** What SGR 59 leaves behind: it should be -1. */
const NO_LINE = 0x3ffffff;

function colour(mode, value) {
  switch (mode >> 24) {
    case 0: return '';
    case 1: return `${value}`;
    case 2: return `#${value}`;
    default: return value.toString(16).padStart(6, '0');
  }
}

/** What one terminal is like. */
class Look {
  constructor(terminal) {
    this.terminal = terminal;
    this.core = there(terminal, '_core');
    this.links = [];
    this.pairs = [];
  }

  say(name, value) {
    this.pairs.push([name, typeof value === 'string' ? value : JSON.stringify(value)]);
  }

  /** Links are numbered as they are met; names that a picture gave are none. */
  link(number) {
    if (!number) return '';
    // One is forgotten with the last line that began with it.
    const { id, uri } = this.core._oscLinkService.getLinkData(number) ?? { uri: 'what is forgotten' };
    if (!this.links.includes(number)) this.links.push(number);
    const name = id === undefined || id.startsWith('autodev-') ? '' : ` named ${id}`;
    return `link ${this.links.indexOf(number)}${name} to ${uri}`;
  }

  pen(pen) {
    const words = Object.keys(FLAGS).filter((name) => pen[FLAGS[name]]());
    // The method says "dashed" of every link.
    if (pen.fg & UNDERLINED) words.push(there(UNDERLINES, (there(pen.extended, '_ext') & STYLE) >>> STYLE_AT));
    const text = colour(pen.getFgColorMode(), pen.getFgColor());
    const background = colour(pen.getBgColorMode(), pen.getBgColor());
    const { underlineColor } = pen.extended;
    const line = underlineColor !== NO_LINE && ~underlineColor ? colour(underlineColor & MODE, underlineColor & 0xffffff) : '';
    if (text) words.push(`text ${text}`);
    if (background) words.push(`on ${background}`);
    if (line) words.push(`line ${line}`);
    const link = this.link(pen.extended.urlId);
    if (link) words.push(link);
    return words.join(' ');
  }

  /** A line of cells; a cell that was never written is like a blank. */
  line(line) {
    let text = line.isWrapped ? '↪' : '';
    let pen = '';
    for (let column = 0; column < line.length; column++) {
      const cell = line.getCell(column);
      if (cell.getWidth() === 0) continue;
      const now = this.pen(cell);
      if (now !== pen) text += `<${now}>`;
      pen = now;
      text += cell.getChars() || ' ';
      if (cell.getWidth() === 2) text += '·';
    }
    return pen === '' ? text.trimEnd() : text;
  }

  lines(name, buffer) {
    const { length, baseY } = buffer;
    for (let at = 0; at < length; at++) {
      const line = buffer.getLine(at);
      const text = this.line(line);
      if (at < baseY) this.say(`${name} history -${baseY - at}`, text);
      else if (text) this.say(`${name} line ${at - baseY}`, text);
    }
  }

  charsets(sets) {
    return [0, 1, 2, 3].map((index) => (sets[index]?.q === '─' ? 'lines' : 'ascii')).join(' ');
  }

  buffer(name, buffer) {
    this.say(`${name} cursor`, [there(buffer, 'x'), there(buffer, 'y')]);
    this.say(`${name} region`, [there(buffer, 'scrollTop'), there(buffer, 'scrollBottom')]);
    this.say(`${name} tabs`, Object.keys(buffer.tabs).filter((column) => buffer.tabs[column]).join(' '));
    // It is kept as a line of the whole buffer, and restored no higher than the screen.
    const savedLine = Math.max(there(buffer, 'savedY') - there(buffer, 'ybase'), 0);
    this.say(`${name} saved cursor`, [there(buffer, 'savedX'), savedLine]);
    this.say(`${name} saved pen`, this.pen(buffer.savedCurAttrData));
    this.say(`${name} saved charsets`, this.charsets(buffer.savedCharsets));
    this.say(`${name} saved charset in use`, there(buffer, 'savedGlevel'));
    this.say(`${name} saved origin`, there(buffer, 'savedOriginMode'));
    this.say(`${name} saved wrapping`, there(buffer, 'savedWraparoundMode'));
  }

  all(colours) {
    const { terminal, core } = this;
    const alternate = terminal.buffer.active.type === 'alternate';
    this.say('screen', terminal.buffer.active.type);
    this.lines('screen', terminal.buffer.active);
    this.buffer('screen', core.buffers.active);
    if (alternate) {
      this.lines('hidden', terminal.buffer.normal);
      this.buffer('hidden', core.buffers.normal);
    }
    const input = core._inputHandler;
    this.say('pen', this.pen(there(input, '_curAttrData')));
    this.say('charsets', this.charsets(there(core._charsetService, '_charsets')));
    this.say('charset in use', there(core._charsetService, 'glevel'));
    const modes = { ...core.coreService.decPrivateModes, ...core.coreService.modes };
    for (const name of ['origin', 'wraparound', 'insertMode', 'bracketedPasteMode', 'sendFocus']) there(modes, name);
    for (const [name, value] of Object.entries(modes)) this.say(`mode ${name}`, value ?? null);
    this.say('newline mode', there(terminal.options, 'convertEol'));
    this.say('mouse', [there(core.mouseStateService, 'activeProtocol'), there(core.mouseStateService, 'activeEncoding')]);
    this.say('cursor hidden', there(core.coreService, 'isCursorHidden'));
    const { flags, mainFlags, mainStack, altStack } = there(core.coreService, 'kittyKeyboard');
    this.say('keyboard', { flags, stack: alternate ? altStack : mainStack });
    if (alternate) this.say('hidden keyboard', { flags: mainFlags, stack: mainStack });
    this.say('title', there(input, '_windowTitle'));
    for (const [name, value] of [...colours].sort()) this.say(`colour ${name}`, value);
    return this.pairs;
  }
}

async function outcome({ columns, rows, parts }) {
  const terminal = new Terminal({
    cols: columns, rows, scrollback: 5000, allowProposedApi: true, vtExtensions: { kittyKeyboard: true },
  });
  // What belongs together is one sign, as in terminals of today.
  terminal.loadAddon(new UnicodeGraphemesAddon());
  const colours = new Map();
  terminal._core._inputHandler.onColor((events) => {
    for (const { type, index, color } of events) {
      if (type === 1) colours.set(index, color.join(' '));
      else if (type === 2 && index === undefined) colours.clear();
      else if (type === 2) colours.delete(index);
    }
  });
  const looks = [];
  for (const part of parts) {
    await new Promise((done) => { terminal.write(Buffer.from(part, 'latin1'), done); });
    looks.push(new Look(terminal).all(colours));
  }
  terminal.dispose();
  return looks;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await outcome(JSON.parse(line))));
}
