/** The few things that all views do with the document. */

/**
 * A copy of a `<template>` of the page, and its elements that have a `data-part`, by that name.
 *
 * @param {string} id
 * @returns {{ content: DocumentFragment, parts: Record<string, HTMLElement> }}
 */
export function template(id) {
  const content = document.getElementById(id).content.cloneNode(true);
  const parts = {};
  for (const part of content.querySelectorAll("[data-part]")) parts[part.dataset.part] = part;
  return { content, parts };
}

/**
 * An element with a class and text or children.
 *
 * @param {string} name
 * @param {string} [className]
 * @param {...(string | Node)} children
 */
export function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Sets an element's text where it is another: what has not changed is not laid out anew, nor read out again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows text in an element that is hidden while there is none. */
export function showText(node, text) {
  setText(node, text ?? "");
  node.hidden = !text;
}

/**
 * Calls `draw` once in the next frame, however often it is asked to. A page in the background has no frames: there it
 * is called once a second.
 *
 * @param {() => void} draw
 * @param {AbortSignal} signal ends it
 * @returns {() => void} asks for it
 */
export function perFrame(draw, signal) {
  let asked = false;
  const run = () => {
    asked = false;
    if (!signal.aborted) draw();
  };
  return () => {
    if (asked) return;
    asked = true;
    if (document.hidden) setTimeout(run, 1000);
    else requestAnimationFrame(run);
  };
}

/** Calls `tick` every second until the signal. */
export function perSecond(tick, signal) {
  const timer = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** Tells people who can't see the page. What is told is short and rare. */
export function announce(text) {
  setText(document.getElementById("announcer"), text);
}
