import type { AppError } from '../../app-error.ts';
import type { HostPort } from '../../host-port.ts';
import type { Broker, BrokerRequest } from './broker.ts';
import { isStale } from './client.ts';
import { isConnectionFailure } from './errors.ts';
import { abandon } from './kafkajs.ts';

/** Whose connection it is. */
export interface LinkOwner {
  connect(address: HostPort): Promise<Broker>;
  /** A broker has answered. */
  answered(): void;
  /** A request has failed: the error to throw. @param what the request, in words */
  failed(thrown: unknown, what: string): AppError;
}

/** One connection to the broker that has a role (leads a partition, coordinates a group), whoever has it now. */
export class BrokerLink {
  readonly #owner: LinkOwner;
  readonly #locate: () => Promise<HostPort>;
  readonly #closed: () => void;
  #broker: Promise<Broker> | undefined;
  #isClosed = false;

  constructor(owner: LinkOwner, locate: () => Promise<HostPort>, closed: () => void) {
    this.#owner = owner;
    this.#locate = locate;
    this.#closed = closed;
  }

  /**
   * One request. Rejects with an error of kafkaError; a connection that broke, and a broker that lost the role, are left for
   * the next call to find anew. @param what the request, in words
   */
  async ask<Answer>(what: string, request: (broker: Broker) => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await request(await this.#connected());
      this.#owner.answered();
      return answer;
    } catch (thrown) {
      if (isConnectionFailure(thrown) || isStale(thrown) || this.#isClosed) this.reset();
      throw this.#owner.failed(thrown, what);
    }
  }

  /** As `ask`, for a request of our own making. */
  send<Answer>(what: string, request: BrokerRequest<Answer>): Promise<Answer> {
    return this.ask(what, ({ connectionPool }) => connectionPool.pool[0].send(request));
  }

  /** Ends the connection; requests that wait are rejected. The next one makes another. */
  reset(): void {
    const broker = this.#broker;
    this.#broker = undefined;
    broker?.then(abandon, () => undefined);
  }

  close(): void {
    this.#isClosed = true;
    this.reset();
    this.#closed();
  }

  #connected(): Promise<Broker> {
    if (this.#isClosed) return Promise.reject(new Error('the connection is closed'));
    if (this.#broker !== undefined) return this.#broker;
    const connecting = this.#locate().then((address) => this.#owner.connect(address));
    this.#broker = connecting;
    connecting.catch(() => {
      if (this.#broker === connecting) this.#broker = undefined;
    });
    return connecting;
  }
}
