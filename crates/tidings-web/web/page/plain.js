/** A line of a program's output as text that can be shown. Pure. */

/** What terminals take for commands (ECMA-48): of their windows, of colours and places, and all shorter ones. */
// eslint-disable-next-line no-control-regex
const COMMANDS = /\u001b(?:\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-~]?)/g;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f]/g;

/** What a terminal would show of a line: without colours, and of what was written over only the last. */
export function plain(line) {
  const text = line.replace(COMMANDS, "");
  const returned = text.replace(/\r+$/, "");
  const last = returned.slice(returned.lastIndexOf("\r") + 1);
  return last.replace(CONTROLS, (control) => String.fromCharCode(control === "\u007f" ? 0x2421 : 0x2400 + control.charCodeAt(0)));
}
