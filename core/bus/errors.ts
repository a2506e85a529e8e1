import { type AppError, errorTable, messageOf } from '../app-error.ts';
import { isOutOfSpace } from '../system-error.ts';

/** Failures of the bus and of the embedded log. */
export const busError = errorTable({
  BUS_TOPIC: {
    message: 'topic {topic} is not known to the bus; it has {expected}',
    retryable: false,
    remedy: 'Use one of the topics that the bus was opened with.',
  },
  BUS_TOPIC_NAME: {
    message:
      '{what} name "{found}" cannot be used: expected 1 to 200 characters of a-z A-Z 0-9 . _ - that do not begin with a dot, and no topic named "groups"',
    retryable: false,
    remedy: 'Choose another name.',
  },
  BUS_TOPIC_SPEC: {
    message: 'topic {topic} asks for {what} {found}; expected {expected}',
    retryable: false,
    remedy: 'Correct the configuration of the bus.',
    exitCode: 78,
  },
  BUS_PARTITION: {
    message: 'topic {topic} has no partition {found}; expected 0 to {last}',
    retryable: false,
    remedy: 'Ask the bus for the number of partitions first.',
  },
  BUS_PARTITIONS: {
    message: 'topic {topic} in {dir} was created with {found} partitions, but {expected} are configured',
    retryable: false,
    remedy: 'Set the number of partitions to {found}: it is fixed when a topic is created. To change it, start with an empty data folder.',
    exitCode: 78,
  },
  BUS_TOPIC_RECORD: {
    message: '{path} says how many partitions topic {topic} has, and cannot be read',
    retryable: false,
    remedy: 'The number was taken from the folders beside it, and the file written again. Check the disk.',
  },
  BUS_MESSAGE_TOO_LARGE: {
    message: 'a message for topic {topic} has {found} bytes; at most {limit} are allowed',
    retryable: false,
    remedy: 'Send smaller messages.',
  },
  BUS_METADATA_TOO_LARGE: {
    message: 'the commit of group {group} carries {found} bytes of metadata; at most {limit} are allowed',
    retryable: false,
    remedy: 'Keep state in the state topic, and only a position in the commit.',
  },
  BUS_OFFSET: {
    message: '{what} {found} of {topic}/{partition} is not an offset of this log; expected 0 to {next}',
    retryable: false,
    remedy: 'The position comes from another log, or the log was replaced: start at its earliest offset.',
  },
  BUS_FULL: {
    message: 'topic {topic}/{partition} holds {found} of at most {limit} bytes, and nothing of it lies below a checkpoint',
    retryable: true,
    remedy: 'It accepts again once its reader has written a checkpoint. If the reader is well, raise the cap of the topic.',
  },
  BUS_BUSY: {
    message: '{found} bytes wait to be written to {topic}/{partition}; at most {limit} may',
    retryable: true,
    remedy: 'The disk is slower than the senders. Send again later.',
  },
  BUS_DISK_FULL: {
    message: 'no space left while writing {path}',
    retryable: true,
    remedy: 'Free space on the file system of the data folder, or lower the caps of the topics.',
    exitCode: 75,
  },
  BUS_IO: {
    message: 'cannot {what} {path}: {cause}',
    retryable: false,
    remedy: 'Check the disk and the kernel log. Messages that were acknowledged before are still there.',
    exitCode: 75,
  },
  BUS_GROUP_FILE: {
    message: 'the commits of group {group} in {path} cannot be read: {cause}',
    retryable: false,
    remedy: 'The group starts again at the earliest offset, and repeats are recognised downstream. The file is kept as {kept}.',
  },
  BUS_NOT_ASSIGNED: {
    message: 'partition {partition} of {topic} is not assigned to this member of group {group}',
    retryable: false,
    remedy: 'It was given to another member, which goes on from the last commit: drop the work.',
  },
  BUS_HANDLER_STUCK: {
    message:
      'the handler of group {group} for {topic}/{partition} did not end within {waitedMs} ms, {abortedMs} ms of them after its signal',
    retryable: false,
    remedy: 'It is a defect of the consumer: its work must end when the signal aborts. Its messages are delivered again.',
  },
  BUS_REVOKED_FAILED: {
    message: 'giving up {topic}/{partition} failed in the consumer of group {group}: {cause}',
    retryable: false,
    remedy: 'The partition was given up all the same; the next member goes on from the last commit.',
  },
  BUS_UNFLUSHED: {
    message: 'the bus closed before {messages} messages ({bytes} bytes) for {topics} were durable; it did not answer in time',
    retryable: false,
    remedy:
      'Nothing is lost: whoever made them makes or sends them again at the next start. What was stored all the same is known as a repeat.',
  },
  BUS_CLOSED: {
    message: 'the bus is closed',
    retryable: false,
    remedy: 'Nothing: the process is ending.',
  },
});

/** The error of a failed call to the file system. */
export function diskError(what: 'open' | 'read' | 'write', path: string, cause: unknown): AppError {
  if (isOutOfSpace(cause)) return busError('BUS_DISK_FULL', { path }, cause);
  return busError('BUS_IO', { what, path, cause: messageOf(cause) }, cause);
}
