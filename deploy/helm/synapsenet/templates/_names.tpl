{{- define "synapsenet.labels" -}}
app.kubernetes.io/name: synapsenet
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "synapsenet.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* A value of cluster.toml: text, number, truth, or a list of such. */}}
{{- define "synapsenet.toml" -}}
{{- if kindIs "string" . }}{{ . | quote }}
{{- else if kindIs "slice" . }}[{{ range $number, $item := . }}{{ if $number }}, {{ end }}{{ include "synapsenet.toml" $item }}{{ end }}]
{{- else if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}
{{- else }}{{ . }}
{{- end }}
{{- end }}

{{/* A section of cluster.toml, its own keys before the sections in it. */}}
{{- define "synapsenet.section" -}}
[{{ .path }}]
{{- range $key, $value := .keys }}
{{- if not (kindIs "map" $value) }}
{{ $key }} = {{ include "synapsenet.toml" $value }}
{{- end }}
{{- end }}
{{ range $key, $value := .keys }}
{{- if kindIs "map" $value }}
{{ include "synapsenet.section" (dict "path" (printf "%s.%s" $.path $key) "keys" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* cluster.toml; the names under which the edge answers are its Service's and those of `edge.hosts`. */}}
{{- define "synapsenet.config" -}}
{{- $edge := printf "%s-edge" .Release.Name }}
{{- $hosts := concat (list $edge (printf "%s.%s" $edge .Release.Namespace) (printf "%s.%s.svc" $edge .Release.Namespace)) .Values.edge.hosts }}
{{- $own := dict "edge" (dict "host" "0.0.0.0" "port" 7400 "exposed" true "hosts" $hosts) }}
{{- range $section, $keys := mustMerge (deepCopy .Values.config) $own }}
{{- include "synapsenet.section" (dict "path" $section "keys" $keys) }}
{{- end }}
{{- end }}

{{/* What every container of ours has. */}}
{{- define "synapsenet.container" -}}
image: {{ include "synapsenet.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "synapsenet.address" -}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: SYNAPSENET_MESH__HOST
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: SYNAPSENET_MESH__LISTEN
  value: {{ printf "0.0.0.0:%d" (int .port) | quote }}
- name: SYNAPSENET_MESH__ADVERTISE
  value: {{ printf "$(POD_IP):%d" (int .port) | quote }}
- name: SYNAPSENET_TELEMETRY__PROMETHEUS
  value: {{ printf "0.0.0.0:%d" (int .metrics) | quote }}
{{- end }}

{{/* gRPC health, asked with the mesh's certificate: the kubelet's own gRPC probe cannot show one. */}}
{{- define "synapsenet.probes" -}}
{{- $ask := printf "exec: {command: [python, -m, synapsenet_servers.probe, \"127.0.0.1:%d\", --ca, /etc/synapsenet/certificates/ca.pem, --certificate, /etc/synapsenet/certificates/mesh.pem, --key, /etc/synapsenet/certificates/mesh.key]}" (int .port) -}}
startupProbe:
  {{ $ask }}
  periodSeconds: 3
  timeoutSeconds: 5
  failureThreshold: 40
readinessProbe:
  {{ $ask }}
  periodSeconds: 10
  timeoutSeconds: 5
livenessProbe:
  {{ $ask }}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
{{- end }}

{{- define "synapsenet.mounts" -}}
- {name: config, mountPath: /etc/synapsenet/cluster.toml, subPath: cluster.toml, readOnly: true}
- {name: certificates, mountPath: /etc/synapsenet/certificates, readOnly: true}
- {name: postgres, mountPath: /etc/synapsenet/postgres, readOnly: true}
- {name: run, mountPath: /run/synapsenet}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "synapsenet.volumes" -}}
- name: config
  configMap: {name: {{ .Release.Name }}-config}
- name: certificates
  secret: {secretName: {{ .Values.secrets.certificates | quote }}, defaultMode: 0440}
- name: postgres
  secret: {secretName: {{ .Values.secrets.postgres | quote }}, defaultMode: 0440}
- name: run
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- end }}

{{- define "synapsenet.pod" -}}
serviceAccountName: {{ .Release.Name }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Replicas on different nodes where there are enough. */}}
{{- define "synapsenet.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ toJson . }}
{{- end }}
