import { severities } from '../../../schema/batch.ts';
import type { FindingEntity, Transition } from '../rules/finding.ts';
import type { OpenFinding } from '../rules/rule-state.ts';
import { Contribution } from './contribution.ts';
import { type Labels, labelsFrom, labelsKey, noLabels } from './labels.ts';
import type { Place } from './place.ts';
import type { SeriesStore } from './series-store.ts';
import type { SourceFields } from './source-fields.ts';

/** Findings as metrics: jitterscope_anomaly_active while one is open, jitterscope_anomalies_opened_total. */
export class FindingSeries {
  readonly #store: SeriesStore;
  readonly #open = new Map<string, Contribution>();

  constructor(store: SeriesStore) {
    this.#store = store;
  }

  note(transition: Transition): void {
    const { action, anomalyId, rule, severity, entity } = transition;
    if (action === 'opened') {
      const opened = this.#source('anomalies', 'opened');
      if (opened !== undefined)
        this.#store.count(opened, labelsFrom({ ...placeLabels(entity), rule: rule.id, severity: severities[severity] }), 0, 1);
    }
    const labels = activeLabels(transition);
    const shown = this.#open.get(anomalyId);
    if (action !== 'resolved' && shown !== undefined && labelsKey(shown.place.labels?.labels ?? noLabels) === labelsKey(labels)) return;
    if (shown !== undefined) this.#hide(anomalyId, shown);
    if (action === 'resolved') return;
    const created = this.#made(anomalyId, labels);
    if (created !== undefined) this.#store.attach(created, false);
  }

  /** Takes up what a checkpoint's series show of findings. Those that are no longer open end. */
  restore(open: Iterable<OpenFinding>): void {
    for (const finding of open) {
      const created = this.#made(finding.anomalyId, activeLabels(finding));
      if (created !== undefined) this.#store.rejoin(created);
    }
    const source = this.#source('anomaly', 'active');
    if (source !== undefined) this.#store.endUnheld(source);
  }

  #hide(anomalyId: string, shown: Contribution): void {
    this.#store.end(shown, 0);
    shown.group?.detach(shown);
    this.#open.delete(anomalyId);
  }

  #made(anomalyId: string, labels: Labels): Contribution | undefined {
    const source = this.#source('anomaly', 'active');
    if (source === undefined) return undefined;
    const contribution = new Contribution(`anomaly/${anomalyId}`, placeOf(labels), source, noLabels);
    contribution.set(0, 1);
    this.#open.set(anomalyId, contribution);
    return contribution;
  }

  /** Both sources have one field. */
  #source(name: string, field: string): SourceFields | undefined {
    return this.#store.sources.get(name, false, [field]);
  }
}

function activeLabels({ rule, severity, entity }: Pick<OpenFinding, 'rule' | 'severity' | 'entity'>): Labels {
  return labelsFrom({ ...entityLabels(entity), rule: rule.id, severity: severities[severity] });
}

function entityLabels(entity: FindingEntity): Record<string, string> {
  const { kind, namespace, pod, name, cookie, inode } = entity;
  const place = placeLabels(entity);
  if (kind === 'pod') return { ...place, k8s_namespace: namespace, k8s_pod: pod };
  return kind === 'netns' ? { ...place, netns: name === '' ? String(cookie === 0 ? inode : cookie) : name } : place;
}

function placeLabels({ kind, node, name }: FindingEntity): Record<string, string> {
  return kind === 'pipeline' ? { partition: name.replace(/^partition /, '') } : { k8s_node: node };
}

/** A finding is no place of a kernel: it has labels, and nobody asks who it is. */
function placeOf(labels: Labels): Place {
  return {
    key: '',
    bootId: '',
    netns: 0,
    cgroup: 0,
    session: undefined,
    entity: undefined,
    labels: { labels, rank: 2 },
    firstMs: 0,
    toldMs: 0,
    readNs: 0,
    gone: false,
    contributions: new Set(),
  };
}
