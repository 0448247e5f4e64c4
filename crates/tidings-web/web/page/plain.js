/** A line of a program's output as text that can be shown. Pure. */

/** What terminals take for commands (ECMA-48): of their windows, of colours and places, and all shorter ones. */
const COMMANDS = /\u001b(?:\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-~]?)/g;
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f]/g;

/** What a terminal would show of a line: without colours, and of what was written over only the last. */
export function plain(line) {
  const text = line.replace(COMMANDS, "");
  const returned = text.replace(/\r+$/, "");
  const last = returned.slice(returned.lastIndexOf("\r") + 1);
  return last.replace(CONTROLS, (control) => (control === "\u007f" ? "\u2421" : picture(control)));
}

/** The sign that stands for a control character (Unicode, "Control Pictures"). */
function picture(control) {
  return String.fromCharCode(0x2400 + control.charCodeAt(0));
}
