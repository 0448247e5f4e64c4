// Where things are, relative to what the caller gave.

/** A URL as it is meant in this page or worker. */
export function absolute(url) {
  return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
}

/**
 * A URL below another one, with the parameters that are not null. A list stands for as many parameters.
 *
 * @param {URL} base with or without a slash at its end
 * @param {string} path
 * @param {object} [parameters]
 */
export function locate(base, path, parameters = {}) {
  const url = new URL(base);
  url.pathname = url.pathname.replace(/\/+$/, "") + path;
  url.hash = "";
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value ?? []].flat()) url.searchParams.append(name, each);
  }
  return url;
}
