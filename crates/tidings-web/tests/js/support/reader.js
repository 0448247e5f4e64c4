// Reads all updates, and keeps them.

export class Reader {
  updates = [];
  over = false;
  error = null;
  /** Is done when the iteration is, however it ends. */
  finished;
  #iterator;

  constructor(iterable) {
    this.#iterator = iterable[Symbol.asyncIterator]();
    this.finished = this.#read();
  }

  get seqs() {
    return this.#of("event").map(({ event }) => event.seq);
  }

  get transports() {
    return this.#of("transport").map(({ transport }) => transport);
  }

  get gaps() {
    return this.#of("gap").map(({ gap }) => gap);
  }

  end() {
    return this.#iterator.return();
  }

  #of(kind) {
    return this.updates.filter((update) => update.kind === kind);
  }

  async #read() {
    try {
      for (let step = await this.#iterator.next(); !step.done; step = await this.#iterator.next()) {
        this.updates.push(step.value);
      }
    } catch (error) {
      this.error = error;
    }
    this.over = true;
  }
}
