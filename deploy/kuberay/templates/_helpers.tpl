{{- define "qbitel.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "qbitel.labels" -}}
app.kubernetes.io/name: qbitel
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* Labels that selectors use: our own, since those of KubeRay hold the name of a RayCluster, which an upgrade changes. */}}
{{- define "qbitel.selector" -}}
qbitel.io/instance: {{ .root.Release.Name }}
qbitel.io/part: {{ .part }}
{{- end -}}

{{- define "qbitel.image" -}}
{{- $tag := .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- if .gpu -}}
{{- printf "%s:%s" .root.Values.image.repository (.root.Values.workers.gpu.tag | default (printf "%s-gpu" $tag)) -}}
{{- else -}}
{{- printf "%s:%s" .root.Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/* What the settings are in a pod; what is secret is in files. */}}
{{- define "qbitel.environment" -}}
- {name: QBITEL_PROFILE, value: {{ .root.Values.profile | quote }}}
- {name: QBITEL_SECRETS_DIR, value: /run/secrets/qbitel}
- {name: QBITEL_DATA_DIR, value: /var/lib/qbitel}
- {name: QBITEL_TRANSPORT, value: {{ .root.Values.service.transport | quote }}}
{{- range $name, $value := .root.Values.settings }}
- {name: QBITEL_{{ upper $name }}, value: {{ $value | quote }}}
{{- end }}
- {name: RAY_USAGE_STATS_ENABLED, value: "0"}
- {name: RAY_enable_open_telemetry, value: "1"}
- {name: HOME, value: /tmp}
{{- range $name, $value := .threads }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "qbitel.podsecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "qbitel.containersecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/*
A pod of Ray. root; part: head, cpu, gpu, state-head, state; container; resources; ports; sharedMemory; token: whether
the pod talks to Kubernetes (the autoscaler does); serving: whether the service answers here.
*/}}
{{- define "qbitel.pod" -}}
metadata:
  labels:
    {{- include "qbitel.labels" .root | nindent 4 }}
    {{- include "qbitel.selector" (dict "root" .root "part" .part) | nindent 4 }}
  annotations:
    cluster-autoscaler.kubernetes.io/safe-to-evict: {{ ternary "false" "true" (hasSuffix "head" .part) | quote }}
spec:
  serviceAccountName: {{ include "qbitel.name" .root }}{{ ternary "-head" "" .token }}
  automountServiceAccountToken: {{ .token }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: 90
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - {name: {{ . }}}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "qbitel.podsecurity" . | nindent 4 }}
  {{- with .nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "qbitel.selector" (dict "root" .root "part" .part) | nindent 10 }}
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "qbitel.selector" (dict "root" .root "part" .part) | nindent 10 }}
  containers:
    - name: {{ .container }}
      image: {{ include "qbitel.image" (dict "root" .root "gpu" (default false .gpu)) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      securityContext:
        {{- include "qbitel.containersecurity" . | nindent 8 }}
      env:
        {{- include "qbitel.environment" . | nindent 8 }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      ports:
        {{- toYaml .ports | nindent 8 }}
      {{- if .serving }}
      # A pod is asked when its replica can work. Whether the raylet lives, KubeRay's own probe says.
      readinessProbe:
        httpGet: {path: /readyz, port: serve}
        initialDelaySeconds: 10
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 3
      {{- end }}
      {{- if not (hasSuffix "head" .part) }}
      lifecycle:
        preStop:
          exec: {command: [ray, stop]}
      {{- end }}
      volumeMounts:
        - {name: temporary, mountPath: /tmp}
        - {name: shared-memory, mountPath: /dev/shm}
        - {name: data, mountPath: /var/lib/qbitel}
        - {name: secrets, mountPath: /run/secrets/qbitel, readOnly: true}
  volumes:
    - name: temporary
      emptyDir: {}
    - name: shared-memory
      emptyDir: {medium: Memory, sizeLimit: {{ .sharedMemory }}}
    - name: data
      {{- if .root.Values.data.persistent }}
      persistentVolumeClaim: {claimName: {{ include "qbitel.name" .root }}-data}
      {{- else }}
      emptyDir: {}
      {{- end }}
    - name: secrets
      secret: {secretName: {{ .root.Values.secrets.existing }}, defaultMode: 288}
{{- end -}}

{{/* What both clusters say alike. */}}
{{- define "qbitel.cluster" -}}
{{- $root := .root -}}
rayVersion: "2.60.0"
enableInTreeAutoscaling: true
autoscalerOptions:
  version: v2
  upscalingMode: Default
  idleTimeoutSeconds: {{ $root.Values.autoscaler.idleTimeoutSeconds }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  securityContext:
    {{- include "qbitel.containersecurity" . | nindent 4 }}
  resources:
    {{- toYaml $root.Values.autoscaler.resources | nindent 4 }}
{{- with $root.Values.gcs.redisAddress }}
gcsFaultToleranceOptions:
  redisAddress: {{ . }}
  {{- with $root.Values.secrets.redisPasswordKey }}
  redisPassword:
    valueFrom:
      secretKeyRef: {name: {{ $root.Values.secrets.existing }}, key: {{ . }}}
  {{- end }}
{{- end }}
authOptions:
  mode: token
  {{- with $root.Values.secrets.rayToken }}
  secretName: {{ . }}
  {{- end }}
headGroupSpec:
  rayStartParams: {num-cpus: "0", dashboard-host: 0.0.0.0}
  template:
    {{- include "qbitel.pod" (dict "root" $root "part" .head "container" "ray-head" "token" true "sharedMemory" "512Mi"
        "resources" $root.Values.head.resources "serving" false "ports" (list
          (dict "name" "gcs" "containerPort" 6379) (dict "name" "dashboard" "containerPort" 8265)
          (dict "name" "client" "containerPort" 10001) (dict "name" "serve" "containerPort" 8000)
          (dict "name" "metrics" "containerPort" 8080) (dict "name" "as-metrics" "containerPort" 44217)
          (dict "name" "dash-metrics" "containerPort" 44227))) | nindent 4 }}
{{- end -}}

{{/* A group of workers. root, part, group (its values), gpu, serving. */}}
{{- define "qbitel.group" -}}
- groupName: {{ .part }}
  replicas: {{ .group.replicas.start }}
  minReplicas: {{ .group.replicas.min }}
  maxReplicas: {{ .group.replicas.max }}
  rayStartParams:
    num-cpus: {{ .group.cores | quote }}
    {{- if .gpu }}
    num-gpus: {{ .group.gpus | quote }}
    {{- end }}
  template:
    {{- $resources := deepCopy .group.resources }}
    {{- if .gpu }}
    {{- $_ := set $resources.requests .group.resource .group.gpus }}
    {{- $_ := set $resources.limits .group.resource .group.gpus }}
    {{- end }}
    {{- include "qbitel.pod" (dict "root" .root "part" .part "container" "ray-worker" "token" false "gpu" .gpu
        "sharedMemory" .group.sharedMemory "resources" $resources "serving" .serving
        "nodeSelector" .group.nodeSelector "tolerations" .group.tolerations "ports" (list
          (dict "name" "serve" "containerPort" 8000) (dict "name" "metrics" "containerPort" 8080))) | nindent 4 }}
{{- end -}}
