-- Orthanc sends every CT and MR series that has become stable to tamperscan, once.
--
-- A series is stable when nothing more has arrived for "StableAge" seconds. Results that tamperscan sends back are of
-- other modalities (SR, SEG, OT, ...), so they are not sent on to it: there is no loop.

local receiver = 'tamperscan' -- its name in "DicomModalities" of Orthanc's configuration

function OnStableSeries(seriesId, tags, metadata)
  local modality = tags['Modality']
  if modality == 'CT' or modality == 'MR' then
    local job = { Resources = { seriesId }, Synchronous = false, Permissive = false }
    RestApiPost('/modalities/' .. receiver .. '/store', DumpJson(job, true))
  end
end
