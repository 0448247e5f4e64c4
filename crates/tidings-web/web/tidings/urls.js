// Where things are, relative to what the caller gave.

/** A URL as it is meant in this page or worker. Elsewhere, in Node say, there is nothing for it to be relative to. */
export function absolute(url) {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (!base && !URL.canParse(url)) throw new TypeError(`${url} is no whole URL, such as http://127.0.0.1:7330/jobs/…`);
  return new URL(url, base);
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
