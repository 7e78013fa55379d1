-- The health of a Container, VirtualMachine or Volume for Argo CD: what its conditions say about the newest spec.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function is(type, value)
  return conditions[type] ~= nil and conditions[type].status == value
end
local function say(health, type)
  return { status = health, message = conditions[type].message or conditions[type].reason or "" }
end
if is("Scheduled", "False") then
  return say("Progressing", "Scheduled")
end
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "waits for the agent of its node to look at it" }
end
-- Stalled: it won't become well by itself.
if is("Stalled", "True") then
  return say("Degraded", "Stalled")
end
if is("Ready", "True") then
  return say("Healthy", "Ready")
end
if is("Reconciling", "True") then
  return say("Progressing", "Reconciling")
end
if is("Ready", "False") then
  return say("Degraded", "Ready")
end
return { status = "Progressing", message = "its state isn't known yet" }
